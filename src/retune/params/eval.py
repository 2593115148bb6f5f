"""Section `eval`: which model is measured on which data set."""

from typing import Annotated

from pydantic import Field, PositiveInt

from retune.params.section import Name, Section


class Eval(Section):
    """Every model is evaluated on every data set's test split."""

    models: Annotated[list[Name], Field(min_length=1)]
    datasets: Annotated[list[Name], Field(min_length=1)]
    ks: Annotated[list[PositiveInt], Field(min_length=1)]  # cut-offs of every metric
