"""Section `mine.<name>`: how hard negatives are chosen."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, model_validator

from retune.core.section import Name, Section
from retune.params.search import Graph, Search


def _is_range(value: list[int | None]) -> list[int | None]:
    first, stop = value
    if first is None or (stop is not None and stop <= first):
        raise ValueError(f"expected [first, stop) with first below stop, or null for no end, got {value}")
    return value


Range = Annotated[list[NonNegativeInt | None], Field(min_length=2, max_length=2), AfterValidator(_is_range)]
"""Ranks from 0, positives included: [first, past the last); null as the end means the rest of the corpus."""


class RangeShare(Section):
    """A share of the negatives that comes from ranks of its own."""

    range: Range
    share: Annotated[float, Field(gt=0.0, lt=1.0)]


class Limits(Section):
    """Scores a mined negative must keep to; `positive` is the lowest score of the query's positives."""

    absolute_margin: Annotated[float, Field(ge=0.0)] | None = None  # at most positive - margin
    relative_margin: Annotated[float, Field(ge=0.0)] | None = None  # at most positive - margin * |positive|
    percent_of_positive: PositiveFloat | None = None  # a relative margin of 1 - this; NV-Retriever takes 0.95
    max_score: float | None = None
    min_score: float | None = None


class Mine(Section):
    """One mining recipe."""

    RENAMED = {"source": "write negatives_from", "further_ranges": "write extra_ranges"}

    dataset: Name
    model: Name  # its ranking is mined
    pool: Name  # data set whose corpus is ranked
    scorer: Name  # model whose scores are limited and kept; a cross-encoder, or the same as `model`
    negatives_from: Literal["mined", "given", "scored", "none"]
    # given: what the data set judges irrelevant; scored: the same with its own scores; none: positives only
    ranking: Literal["dense", "bm25", "union"]  # union: of both, each cut to the range
    search: Search
    range: Range
    extra_ranges: list[RangeShare] = []
    negatives: NonNegativeInt  # per query; 0 where negatives_from is none, and allowed where it is scored
    sampling: Literal["top", "uniform", "score"]
    sampling_temperature: PositiveFloat | None = None  # of sampling by score: weights are exp(score / temperature)
    keep_judged: bool = False  # documents judged irrelevant come first, mined ones fill up
    limits: Limits | None = None
    near_duplicate: Annotated[float, Field(gt=0.0, le=1.0)] | None = None  # of a positive, by words: never a negative
    shortage: Literal["fewer", "random", "fail"]  # random: fill up with random documents

    @property
    def parts(self) -> list[tuple[int, int | None, float]]:
        """Return first rank, stop and share of the negatives of every range; the first takes what is left over."""
        further = [(part.range, part.share) for part in self.extra_ranges]
        ranges = [(self.range, 1.0 - sum(share for _, share in further)), *further]
        return [(first or 0, stop, share) for (first, stop), share in ranges]

    @property
    def depth(self) -> int:
        """Return how much of a ranking the ranges look at."""
        return max(first if stop is None else stop for first, stop, _ in self.parts)

    def counts(self, wanted: int) -> list[int]:
        """Return how many of the negatives wanted come from each range."""
        further = [round(share * wanted) for _, _, share in self.parts[1:]]
        return [max(0, wanted - sum(further)), *further]

    @model_validator(mode="after")
    def _negatives_fit_the_source(self) -> Self:
        if self.negatives_from == "scored" and self.shortage == "random":
            raise ValueError(
                "shortage: expected fewer or fail with negatives_from scored, got random; such have no score"
            )
        if self.negatives_from != "scored" and (self.negatives == 0) != (self.negatives_from == "none"):
            raise ValueError(
                f"negatives: expected 0 with negatives_from none and 1 or more else, got {self.negatives} "
                f"with {self.negatives_from}"
            )
        if (self.sampling_temperature is None) == (self.sampling == "score"):
            raise ValueError(
                f"sampling_temperature: expected a number with sampling score and none else, "
                f"got {self.sampling_temperature} with {self.sampling}"
            )
        return self

    @model_validator(mode="after")
    def _ranges_hold_the_negatives(self) -> Self:
        if self.negatives_from != "mined":
            return self
        if self.parts[0][2] <= 0.0:
            raise ValueError("extra_ranges: expected shares that add up to less than 1")
        for (first, stop, share), count in zip(self.parts, self.counts(self.negatives), strict=True):
            if count < 1:
                raise ValueError(
                    f"extra_ranges: expected a negative or more of each range, got a share of {share:.2f} "
                    f"of {self.negatives} for [{first}, {stop})"
                )
            if stop is not None and stop - first < count:
                raise ValueError(f"range: expected at least {count} ranks for {count} negatives, got [{first}, {stop})")
        if isinstance(self.search, Graph) and self.search.search_depth < self.depth:
            raise ValueError(f"search.search_depth: expected at least the {self.depth} ranks looked at")
        return self
