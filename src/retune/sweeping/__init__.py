"""Which parameters score best on dev, and would more labels help?"""
