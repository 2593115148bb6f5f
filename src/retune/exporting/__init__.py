"""Does a model give the same vectors in the form in which it is deployed?"""
