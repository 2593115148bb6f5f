"""How does a cross-encoder learn?"""
