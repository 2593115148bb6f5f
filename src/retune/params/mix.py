"""Section `mix.<name>`: a mixture of two mined sets for training."""

from typing import Literal, Self

from pydantic import PositiveFloat, model_validator

from retune.core.section import Name, Section


class Mix(Section):
    """A mixture of two mining recipes or mixtures: of their examples, or of the scores of the same examples."""

    of: Literal["examples", "scores"] = "examples"
    first: Name  # its data set is the one on which the tuned model should improve
    second: Name
    first_weight: PositiveFloat  # how often each pair of `first` is seen per epoch, or the weight of its scores
    second_weight: PositiveFloat

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        if self.first == self.second:
            raise ValueError(f"second: expected a different name than first, got {self.second!r} for both")
        return self
