"""How are texts trained on one after another, without padding?"""
