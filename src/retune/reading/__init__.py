"""What does a raw file say, and where does it say it?"""
