"""Are two texts the same or almost the same, and in which language are they?"""
