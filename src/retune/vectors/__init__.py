"""How are document vectors stored for a search engine, and what does their number format cost?"""
