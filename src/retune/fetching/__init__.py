"""Where does a base model come from, and is it usable?"""
