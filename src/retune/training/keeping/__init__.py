"""How are checkpoints, averaged weights, the tuned model and its card written?"""
