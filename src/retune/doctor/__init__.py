"""What would an expert point out in these numbers?"""
