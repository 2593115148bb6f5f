"""Section `fuse.<name>`: two models whose rankings become one."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from retune.core.section import Name, Section


class Fuse(Section):
    """Two models, and how their rankings are fused."""

    first: Name
    second: Name
    method: Literal["rrf", "weighted"]  # rrf: reciprocal ranks; weighted: scores, scaled for each query
    weights: Annotated[list[NonNegativeFloat], Field(min_length=2, max_length=2)] | None = None  # null: equal ones
    depth: PositiveInt  # documents of each query that are taken from each model

    @property
    def parts(self) -> tuple[str, str]:
        """The names of the two models."""
        return self.first, self.second

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        if self.first == self.second:
            raise ValueError(f"second: expected another model than first, got {self.second!r} for both")
        return self

    @model_validator(mode="after")
    def _one_counts(self) -> Self:
        if self.weights is not None and sum(self.weights) == 0.0:
            raise ValueError(f"weights: expected at least one above 0, got {self.weights}")
        return self
