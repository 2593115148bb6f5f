"""The thresholds of all findings. Where no source is named, a number is a rule of thumb of this project."""

MOST_FILLERS = 0.5  # of a mined set's negatives; more means that the recipe hardly mines (as in mining/outcome.py)
MANY_ABOVE_POSITIVE = 0.05  # of a mined set's negatives; NV-Retriever (arXiv:2407.15831) wants none
MANY_CUT = 0.1  # of the texts of a data set

FEWEST_LOSSES = 20  # of a training; fewer steps say nothing about a trend
FALLEN = 0.95  # the last quarter's median loss divided by the first quarter's; above it, the loss did not fall
FIRST_LOSSES = 5
ZERO_LOSS = 0.01  # InfoNCE gives the positive a probability of 0.99 then
RISE = 0.002  # of the last dev score above all earlier ones
DISAGREEMENT = 0.005  # smallest change on dev and on test, of opposite signs

USUAL_RATES = ((50e6, 3e-5), (200e6, 2e-5), (float("inf"), 1e-5))  # up to so many parameters: docs/choosing.md
USUAL_LORA_RATE = 1e-4  # docs/choosing.md
FAR_FROM_USUAL = 10.0  # times as high or as low; docs/choosing.md has a small model that gained most at ten times

UNLIKE_LENGTH = 2.0  # ratio of the median lengths of train and test queries
HIGH_FLOOR = 0.6  # median cosine of random pairs; about 0.1 for MiniLM, 0.85 for e5
