"""Which documents are good negatives?"""
