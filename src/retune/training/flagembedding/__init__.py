"""How does FlagEmbedding train a model?"""
