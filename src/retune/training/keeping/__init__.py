"""What is written during and after training: checkpoints, averaged weights, the model and its card?"""
