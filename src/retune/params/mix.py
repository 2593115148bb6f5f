"""Section `mix.<name>`: two mined sets to train on together."""

from typing import Self

from pydantic import PositiveFloat, model_validator

from retune.core.section import Name, Section


class Mix(Section):
    """A mixture of two mining recipes or mixtures."""

    first: Name  # a run on the mixture is compared on this one's data set
    second: Name
    first_weight: PositiveFloat  # how often a pair of it is seen in an epoch
    second_weight: PositiveFloat

    @model_validator(mode="after")
    def _are_two(self) -> Self:
        if self.first == self.second:
            raise ValueError(f"second: expected another than first, got {self.second!r} twice")
        return self
