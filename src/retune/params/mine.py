"""Section `mine.<name>`: how hard negatives are chosen."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from retune.core.section import Name, Section
from retune.params.llm import Llm
from retune.params.search import Graph, Search


def _is_range(value: list[int | None]) -> list[int | None]:
    first, stop = value
    if first is None or (stop is not None and stop <= first):
        raise ValueError(f"expected [first, stop] with first below stop, or with stop null, got {value}")
    return value


Range = Annotated[list[NonNegativeInt | None], Field(min_length=2, max_length=2), AfterValidator(_is_range)]
"""Ranks counted from 0, positives included: the first one and the one after the last; null: the rest of the corpus."""


class RangeShare(Section):
    """Another range of ranks, and the share of the negatives that it provides."""

    range: Range
    share: Annotated[float, Field(gt=0.0, lt=1.0)]


class Limits(Section):
    """Limits to the scores of mined negatives; `positive` is the lowest score of the query's positives."""

    absolute_margin: Annotated[float, Field(ge=0.0)] | None = None  # at most positive - margin
    relative_margin: Annotated[float, Field(ge=0.0)] | None = None  # at most positive - margin * |positive|
    percent_of_positive: PositiveFloat | None = None  # a relative margin of 1 - this; NV-Retriever uses 0.95
    share_of_range: Annotated[float, Field(gt=0.0, le=1.0)] | None = None  # of the way from random pairs to positive
    max_score: float | None = None
    min_score: float | None = None


class Relabel(Section):
    """Which negatives are asked whether they answer their query, who is asked, and what becomes of those that do."""

    by: Literal["llm", "cross_encoder"]  # cross_encoder: the scorer, which must be one
    above: float | None = None  # by llm: negatives whose score is at least this are asked about
    lowest: float  # judge's score of an answer: 1 to 10 of a language model, or the cross-encoder's score
    becomes: Literal["positive", "left_out"]
    document_words: PositiveInt | None = None  # by llm: of a longer document, the beginning is shown
    llm: Llm | None = None

    @property
    def threshold(self) -> float:
        """Return the score from which a negative is judged; what replaces an answer must score below it."""
        return self.lowest if self.above is None else self.above

    @model_validator(mode="after")
    def _parameters_suit_by(self) -> Self:
        is_llm = self.by == "llm"
        if is_llm and self.llm is None:
            raise ValueError("llm: missing; add it, or write by: cross_encoder")
        if is_llm != (self.above is not None):
            raise ValueError(
                "above: expected a score with by llm, and none with cross_encoder, whose score alone decides, "
                f"got {self.above} with {self.by}"
            )
        if is_llm != (self.document_words is not None):
            raise ValueError(
                "document_words: expected a number of words with by llm, and none with cross_encoder, which cuts "
                f"documents itself, got {self.document_words} with {self.by}"
            )
        if is_llm and not 1.0 <= self.lowest <= 10.0:
            raise ValueError(f"lowest: expected a score from 1 to 10 with by llm, got {self.lowest:g}")
        return self


class Mine(Section):
    """One mining recipe."""

    RENAMED = {"source": "write negatives_from", "further_ranges": "write extra_ranges"}
    OF_ONE_ENTRY = frozenset({"dataset", "pool", "model", "scorer"})

    dataset: Name
    model: Name  # whose ranking is mined
    pool: Name  # data set whose corpus is ranked
    scorer: Name  # model whose scores are limited and stored; a cross-encoder, or the same as `model`
    negatives_from: Literal["mined", "given", "scored", "none"]
    # given: the documents judged irrelevant; scored: these with the scores of the data set; none: positives only
    ranking: Literal["dense", "bm25", "union"]  # union: the ranges of both rankings together
    search: Search
    range: Range
    extra_ranges: list[RangeShare] = []
    negatives: NonNegativeInt  # per query; 0 if negatives_from is none; may be 0 if it is scored
    sampling: Literal["top", "uniform", "score"]
    sampling_temperature: PositiveFloat | None = None  # for sampling by score, with weights exp(score / temperature)
    keep_judged: bool = False  # use documents judged irrelevant first, then mined ones
    limits: Limits | None = None
    near_duplicate: Annotated[float, Field(gt=0.0, le=1.0)] | None = None  # omit documents as similar to a positive
    relabel: Relabel | None = None  # ask of negatives with a high score whether they answer the query
    shortage: Literal["fewer", "random", "fail"]  # random: fill up with random documents

    @property
    def parts(self) -> list[tuple[int, int | None, float]]:
        """Return the first rank, the stop and the share of every range; `range` has the share that others leave."""
        extra = [(part.range, part.share) for part in self.extra_ranges]
        ranges = [(self.range, 1.0 - sum(share for _, share in extra)), *extra]
        return [(first or 0, stop, share) for (first, stop), share in ranges]

    @property
    def depth(self) -> int:
        """Return the number of ranks that the ranges need."""
        return max(first if stop is None else stop for first, stop, _ in self.parts)

    def counts(self, wanted: int) -> list[int]:
        """Return how many of the wanted negatives come from each range."""
        extra = [round(share * wanted) for _, _, share in self.parts[1:]]
        return [max(0, wanted - sum(extra)), *extra]

    @model_validator(mode="after")
    def _parameters_suit_negatives_from(self) -> Self:
        if self.negatives_from == "scored" and self.shortage == "random":
            raise ValueError(
                "shortage: expected fewer or fail with negatives_from scored, as random documents have no score, "
                "got random"
            )
        if self.negatives_from != "scored" and (self.negatives == 0) != (self.negatives_from == "none"):
            raise ValueError(
                "negatives: expected 0 with negatives_from none, and at least 1 with mined or given, "
                f"got {self.negatives} with {self.negatives_from}"
            )
        if self.relabel is not None and self.negatives_from in ("scored", "none"):
            raise ValueError(
                "relabel: expected negatives_from mined or given beside it, as others have no scorer's scores, got "
                f"{self.negatives_from}; write relabel: null"
            )
        if (self.sampling_temperature is None) == (self.sampling == "score"):
            raise ValueError(
                "sampling_temperature: expected a number with sampling score, and none with any other, "
                f"got {self.sampling_temperature} with {self.sampling}"
            )
        return self

    @model_validator(mode="after")
    def _ranges_provide_the_negatives(self) -> Self:
        if self.negatives_from != "mined":
            return self
        if (left := self.parts[0][2]) <= 0.0:
            raise ValueError(f"extra_ranges: expected shares that add up to less than 1, got {1.0 - left:g}")
        for (first, stop, share), count in zip(self.parts, self.counts(self.negatives), strict=True):
            if count < 1:
                raise ValueError(
                    f"extra_ranges: expected at least one negative from each range, got a share of {share:.2f} "
                    f"of {self.negatives} for [{first}, {stop})"
                )
            if stop is not None and stop - first < count:
                raise ValueError(f"range: expected at least {count} ranks for {count} negatives, got [{first}, {stop})")
        if isinstance(self.search, Graph) and (got := self.search.search_depth) < self.depth:
            raise ValueError(f"search.search_depth: expected at least the {self.depth} ranks to retrieve, got {got}")
        return self
