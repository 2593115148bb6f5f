"""How does a user's data become entries of params.yaml?"""
