"""A finding: something in the numbers of a project that a person would want to know."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A finding, in whole sentences.

    Attributes:
        about: The entry of params.yaml that it is about, such as `mine.science`.
        fact: What was found, with its number.
        meaning: What it means.
        advice: What to do.
    """

    about: str
    fact: str
    meaning: str
    advice: str

    @property
    def text(self) -> str:
        """The finding on one line."""
        return f"{self.about}: {self.fact} {self.meaning} {self.advice}"
