"""Which documents are near a query?"""
