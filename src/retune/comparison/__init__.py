"""What changed, and is the change more than chance?"""
