"""Section `convert.<dataset>`: the parameters that all formats share; formats/<format>.py adds those of a format."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from retune.core.section import RawPath, Section, Share


def _is_share_or_given(value: float | str) -> float | str:
    if value != "given" and (isinstance(value, str) or not 0.0 <= value < 1.0):
        raise ValueError(f"expected a share of at least 0 and below 1, or given, got {value!r}")
    return value


Cut = Annotated[float | str, AfterValidator(_is_share_or_given)]
"""The share of train queries that form a split, or `given` if the source has the split."""


class Leaks(Section):
    """What to do about train queries that leak dev or test queries."""

    policy: Literal["fail", "drop", "report"]  # drop: remove them from train
    near_duplicate: Annotated[float, Field(gt=0.0, le=1.0)]  # lowest Jaccard similarity of a near-duplicate
    min_words: Annotated[int, Field(ge=2)]  # shorter queries are not looked for inside others


class Convert(Section):
    """One data set, and how it is split."""

    RENAMED = {"source": "write origin", "everything_in": "write assign_all_to"}
    OF_ONE_ENTRY = frozenset({"format", "raw"})

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls.OF_ONE_ENTRY = Convert.OF_ONE_ENTRY | (cls.model_fields.keys() - Convert.model_fields.keys())

    format: str  # a module of retune.formats
    raw: RawPath
    licence: str
    origin: str  # where the data comes from: a URL, or words
    use: Literal["any", "evaluation_only", "training_against_licence"]
    merge_queries: bool | Literal["keep_first"]  # true: merge equal texts into one query with all their positives
    max_unusable: Share  # highest share of unusable judgments, and of unusable queries
    assign_all_to: Literal["train", "dev", "test"] | None = None  # assign all queries to this split before cutting
    split_by: Literal["document", "query", "group"]  # queries that share it stay in one split
    dev: Cut
    test: Cut
    leaks: Leaks

    @model_validator(mode="after")
    def _something_stays_in_train(self) -> Self:
        cut = sum(share for share in (self.dev, self.test) if isinstance(share, float))
        if cut >= 1.0:
            raise ValueError(f"dev and test: expected shares that add up to less than 1, got {cut:g}")
        return self
