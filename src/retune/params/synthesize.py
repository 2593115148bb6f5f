"""Section `synthesize.<dataset>`: synthetic queries made from documents."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from retune.core.section import Name, Section, Share

EXTRACTIVE_KINDS = ("sentence", "title", "heading", "keyphrases")
Similarity = Annotated[float, Field(gt=0.0, le=1.0)]


class Filters(Section):
    """Which synthetic queries are left out, besides those of a wrong length and equal ones; each is off if absent."""

    language: bool = False  # queries of another language than most documents
    copied_words: PositiveInt | None = None  # queries with so many words in a row from their document
    near_duplicate: Similarity | None = None  # Jaccard similarity from which the later of two queries is left out
    cosine_duplicate: Similarity | None = None  # the same by the cosine of their vectors
    leak: Similarity | None = None  # Jaccard similarity with a dev or test query of the source
    round_trip: PositiveInt | None = None  # the query must find its document within this rank


class Synthesize(Section):
    """One synthetic data set, made from the corpus of a converted data set."""

    dataset: Name
    model: Name  # encodes queries and documents for the filters
    method: Literal["extractive"]
    queries_per_document: PositiveInt
    kinds: dict[str, float]  # the share of each kind of query; they add up to 1
    removal_rate: float  # probability that a query's words are removed from its document, 0 to 1
    min_words: PositiveInt  # of a sentence that becomes a query
    max_words: PositiveInt  # of any query
    filters: Filters | None = None
    dev: Share  # share of documents whose queries form the dev split
    test: Share = 0.0  # share of documents whose queries form the test split

    @model_validator(mode="after")
    def _values_are_in_range(self) -> Self:
        if not 0.0 <= self.removal_rate <= 1.0:
            raise ValueError(f"removal_rate: expected a number from 0 to 1, got {self.removal_rate}")
        if self.max_words < self.min_words:
            raise ValueError(f"max_words: expected at least min_words ({self.min_words}), got {self.max_words}")
        if self.dev + self.test >= 1.0:
            raise ValueError(
                f"dev and test: expected shares that leave documents to train on, got {self.dev + self.test}"
            )
        check_kinds(self.kinds, EXTRACTIVE_KINDS)
        return self


def check_kinds(kinds: Mapping[str, float], known: tuple[str, ...]) -> None:
    """Raise ValueError if the shares of the kinds of queries are of unknown kinds or do not add up to 1."""
    for name, share in kinds.items():
        if name not in known:
            raise ValueError(f"kinds: expected some of {', '.join(known)}, got {name!r}")
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"kinds.{name}: expected a share from 0 to 1, got {share}")
    if abs(sum(kinds.values()) - 1.0) > 1e-6:
        raise ValueError(f"kinds: expected shares that add up to 1, got {sum(kinds.values()):.4g}")
