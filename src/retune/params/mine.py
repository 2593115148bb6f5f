"""Section `mine.<name>`: how hard negatives are chosen."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from retune.params.section import Name, Section


class Mine(Section):
    """One mining recipe."""

    dataset: Name
    model: Name
    source: Literal["mined", "given"]  # given: what the data set judges irrelevant, whatever its rank
    range: Annotated[list[NonNegativeInt], Field(min_length=2, max_length=2)]  # 0-based ranks, [first, past the last)
    negatives: PositiveInt  # per query

    @model_validator(mode="after")
    def _range_holds_the_negatives(self) -> Self:
        first, stop = self.range
        if stop - first < self.negatives:
            raise ValueError(
                f"range: expected at least {self.negatives} ranks for {self.negatives} negatives, got [{first}, {stop})"
            )
        return self
