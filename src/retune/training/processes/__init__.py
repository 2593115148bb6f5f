"""How do several processes train one model?"""
