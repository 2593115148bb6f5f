"""Are two texts the same, or nearly the same?"""
