"""Which queries and documents make each batch?"""
