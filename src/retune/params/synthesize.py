"""Section `synthesize.<dataset>`: queries made from documents alone."""

from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from retune.core.section import Name, Section, Share


class Synthesize(Section):
    """One synthetic data set, made from the corpus of a converted one."""

    dataset: Name
    method: Literal["inverse_cloze"]
    queries_per_document: PositiveInt
    removal_rate: float  # share of queries whose sentence is taken out of its document, 0 to 1
    min_words: PositiveInt  # of a sentence that may become a query
    max_words: PositiveInt
    dev: Share  # share of documents whose queries form the dev split

    @model_validator(mode="after")
    def _ranges_hold(self) -> Self:
        if not 0.0 <= self.removal_rate <= 1.0:
            raise ValueError(f"removal_rate: expected 0 to 1, got {self.removal_rate}")
        if self.max_words < self.min_words:
            raise ValueError(f"max_words: expected at least min_words ({self.min_words}), got {self.max_words}")
        return self
