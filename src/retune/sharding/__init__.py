"""How is encoding, searching or mining divided among machines?"""
