"""The errors raised for input that a person can fix."""

from collections.abc import Iterable
from typing import Self


class InputError(ValueError):
    """Wrong input, described in one line: where it is, what was expected, what was found and what to do."""


class TextError(InputError):
    """A text that a model cannot encode or score."""


class ParameterError(InputError):
    """Wrong parameters of a file: one line for each finding, headed by the file's name.

    Attributes:
        findings: The lines without the file's name, for a caller that reads the parameters from another file.
    """

    def __init__(self, findings: Iterable[str], file: str = "params.yaml") -> None:
        self.findings = list(findings)
        self._file = file
        super().__init__("\n".join(f"{file}: {finding}" for finding in self.findings))

    def __reduce__(self) -> tuple[type[Self], tuple[list[str], str]]:
        return type(self), (self.findings, self._file)  # so that it can be raised in another process
