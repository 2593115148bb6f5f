"""The error raised for input that a person can fix."""


class InputError(ValueError):
    """Wrong input, described in one line: where it is, what was expected, what was found and what to do."""
