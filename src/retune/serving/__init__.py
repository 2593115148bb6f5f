"""How is a model asked over HTTP?"""
