"""What would someone ask to find a document?"""
