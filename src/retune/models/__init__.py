"""What is in a model directory, and how do texts enter the model?"""
