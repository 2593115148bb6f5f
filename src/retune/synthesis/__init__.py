"""What would someone ask of these documents?"""
