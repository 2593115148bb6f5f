"""Section `convert.<dataset>`: what every format shares; a format adds its own in formats/<format>.py."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from retune.core.section import RawPath, Section, Share


def _is_share_or_given(value: float | str) -> float | str:
    if value != "given" and (isinstance(value, str) or not 0.0 <= value < 1.0):
        raise ValueError(f"expected a share from 0 to below 1, or given, got {value!r}")
    return value


Cut = Annotated[float | str, AfterValidator(_is_share_or_given)]
"""Where a split comes from: the share of train queries cut off for it, or `given` by the source."""


class Leaks(Section):
    """What to do about train queries that give away queries of dev or test."""

    policy: Literal["fail", "drop", "report"]  # drop: from train
    near_duplicate: Annotated[float, Field(gt=0.0, le=1.0)]  # Jaccard similarity that counts, docs/convert.md
    min_words: Annotated[int, Field(ge=2)]  # shorter queries are not looked for inside others


class Convert(Section):
    """One data set. A share cuts a split from train; `given` takes the source's own."""

    RENAMED = {"source": "write origin", "everything_in": "write assign_all_to"}

    format: str  # a module of retune.formats
    raw: RawPath
    licence: str
    origin: str  # where it comes from: a URL, or words
    use: Literal["any", "evaluation_only", "training_against_licence"]
    merge_queries: bool | Literal["keep_first"]  # equal query texts become one with several positives
    max_unusable: Share  # of judgments or of queries; more left out is an error
    assign_all_to: Literal["train", "dev", "test"] | None = None  # the split all queries are put in before any cut
    split_by: Literal["document", "query", "group"]  # what never lies on both sides of a cut
    dev: Cut
    test: Cut
    leaks: Leaks

    @model_validator(mode="after")
    def _something_stays_in_train(self) -> Self:
        cut = sum(share for share in (self.dev, self.test) if isinstance(share, float))
        if cut >= 1.0:
            raise ValueError(f"dev and test: expected shares that add up to less than 1, got {cut}")
        return self
