"""Where does a base model come from?"""
