"""What does a raw file contain, and at which line?"""
