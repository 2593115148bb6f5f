"""How does a source become a clean data set?"""
