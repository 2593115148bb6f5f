"""The error every part raises for input a person can mend."""


class InputError(ValueError):
    """Wrong input, told in one line: where, what was expected, what came, what to do."""
