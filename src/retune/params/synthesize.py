"""Section `synthesize.<dataset>`: synthetic queries made from documents."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from retune.core.section import Name, Section, Share
from retune.params.llm import Llm

EXTRACTIVE_KINDS = ("sentence", "title", "heading", "keyphrases")
TWO_DOCUMENTS = "two_documents"  # the kind of query that needs two documents
GENERATED_KINDS = ("question", "keywords", "claim", "long_question", "title", TWO_DOCUMENTS)
Similarity = Annotated[float, Field(gt=0.0, le=1.0)]
Shares = dict[str, float]


class Filters(Section):
    """Which synthetic queries are left out, besides equal ones; each is off if absent."""

    min_words: PositiveInt | None = None  # shorter queries
    max_words: PositiveInt | None = None  # longer queries
    language: bool = False  # queries in another language than most documents
    copied_words: PositiveInt | None = None  # queries with so many words in a row from their document
    leak: Similarity | None = None  # Jaccard similarity with a dev or test query of the source
    near_duplicate: Similarity | None = None  # Jaccard similarity with an earlier query
    cosine_duplicate: Similarity | None = None  # cosine with an earlier query
    round_trip: PositiveInt | None = None  # the query must find its document within this rank
    judge: Annotated[int, Field(ge=1, le=10)] | None = None  # lowest score that the language model gives


class Extraction(Section):
    """How queries are taken from documents."""

    removal_rate: float  # probability that a query's words are removed from its document, 0 to 1
    min_words: PositiveInt  # of a sentence that becomes a query
    max_words: PositiveInt  # of any query

    @model_validator(mode="after")
    def _values_are_in_range(self) -> Self:
        if not 0.0 <= self.removal_rate <= 1.0:
            raise ValueError(f"removal_rate: expected a number from 0 to 1, got {self.removal_rate}")
        if self.max_words < self.min_words:
            raise ValueError(f"max_words: expected at least min_words ({self.min_words}), got {self.max_words}")
        return self


class Generation(Section):
    """How a language model is asked for queries, and to judge them."""

    document_words: PositiveInt  # a longer document is shown in part
    examples: bool = False  # whether real dev queries are shown as examples
    answers: bool = False  # whether an answer is asked for beside each query


class Synthesize(Section):
    """One synthetic data set, made from the corpus of a converted data set."""

    OF_ONE_ENTRY = frozenset({"kinds", "test_kinds"})  # merged key by key, shares would not add up

    dataset: Name
    model: Name  # encodes queries and documents, to choose documents and for the filters
    method: Literal["extractive", "llm"]
    documents: PositiveInt | None = None  # how many are asked about, chosen to cover the corpus; absent: all
    queries_per_document: PositiveInt
    kinds: Shares  # the share of each kind of query; they add up to 1
    extraction: Extraction | None = None
    generation: Generation | None = None
    llm: Llm | None = None  # writes queries, and judges them
    filters: Filters | None = None
    dev: Share  # share of documents whose queries form the dev split
    test: Share = 0.0  # share of documents whose queries form the test split
    test_kinds: Shares | None = None  # the kinds of test queries, on none of which a model is trained

    @model_validator(mode="after")
    def _blocks_fit(self) -> Self:
        needed = ["extraction"] if self.method == "extractive" else ["generation", "llm"]
        if self.filters is not None and self.filters.judge is not None:
            needed += ["generation", "llm"]
        for block in dict.fromkeys(needed):
            if getattr(self, block) is None:
                raise ValueError(f"{block}: missing; add it, or add it to defaults.synthesize")
        if self.dev + self.test >= 1.0:
            raise ValueError(f"dev and test: expected a sum below 1, got {self.dev + self.test:g}")
        known = EXTRACTIVE_KINDS if self.method == "extractive" else GENERATED_KINDS
        for name, kinds in {"kinds": self.kinds, "test_kinds": self.test_kinds}.items():
            if kinds is not None:
                _check_kinds(name, kinds, known)
        return self

    @model_validator(mode="after")
    def _test_kinds_are_others(self) -> Self:
        if self.test == 0.0:
            if self.test_kinds is not None:
                raise ValueError("test_kinds: expected test beside it, found none; add it or remove test_kinds")
            return self
        if self.test_kinds is None:
            raise ValueError("test_kinds: missing; add kinds that are not in kinds, or remove test")
        trained_on, tested_on = (
            {kind for kind, share in kinds.items() if share > 0} for kinds in (self.kinds, self.test_kinds)
        )
        if shared := sorted(trained_on & tested_on):
            raise ValueError(f"test_kinds: expected kinds that no model is trained on, got {', '.join(shared)}")
        return self


def _check_kinds(where: str, kinds: Mapping[str, float], known: tuple[str, ...]) -> None:
    for name, share in kinds.items():
        if name not in known:
            raise ValueError(f"{where}: expected some of {', '.join(known)}, got {name!r}")
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"{where}.{name}: expected a share from 0 to 1, got {share}")
    if abs(sum(kinds.values()) - 1.0) > 1e-6:
        raise ValueError(f"{where}: expected shares that add up to 1, got {sum(kinds.values()):.4g}")
