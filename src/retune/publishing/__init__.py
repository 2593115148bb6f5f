"""What must a model bring along when it leaves the project?"""
