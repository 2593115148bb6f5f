"""How good is a ranking?"""
