"""Are two texts the same, or almost the same?"""
