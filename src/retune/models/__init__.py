"""What does a model directory contain, and how does the model read texts?"""
