"""How are document vectors moved towards the queries that they answer?"""
