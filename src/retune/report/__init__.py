"""How is a comparison shown to people?"""
