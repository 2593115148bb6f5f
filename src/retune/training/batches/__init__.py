"""Which queries and documents make up a batch?"""
