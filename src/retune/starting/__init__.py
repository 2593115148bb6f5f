"""How does somebody's data become entries of params.yaml?"""
