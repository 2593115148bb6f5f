"""Section `synthesize.<dataset>`: synthetic queries made from documents."""

from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from retune.core.section import Name, Section, Share


class Synthesize(Section):
    """One synthetic data set, made from the corpus of a converted data set."""

    dataset: Name
    method: Literal["inverse_cloze"]
    queries_per_document: PositiveInt
    removal_rate: float  # probability that a query's sentence is removed from its document, 0 to 1
    min_words: PositiveInt  # shorter sentences do not become queries
    max_words: PositiveInt  # longer sentences do not become queries
    dev: Share  # share of documents whose queries form the dev split

    @model_validator(mode="after")
    def _values_are_in_range(self) -> Self:
        if not 0.0 <= self.removal_rate <= 1.0:
            raise ValueError(f"removal_rate: expected a number from 0 to 1, got {self.removal_rate}")
        if self.max_words < self.min_words:
            raise ValueError(f"max_words: expected at least min_words ({self.min_words}), got {self.max_words}")
        return self
