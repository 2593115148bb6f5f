"""How much of a tuned model can be kept without losing what is guarded?"""
