"""Section `eval`: which model is measured on which data set, and how."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from retune.core.section import Name, Section, read_value
from retune.params.search import Graph, Search


class Measuring(Section):
    """How a model is measured; the same for every cell."""

    ks: Annotated[list[PositiveInt], Field(min_length=1)]  # cut-offs of every metric
    dims: PositiveInt | None  # vectors are cut to so many and scaled to length 1 again; null: all
    search: Search
    exclude_same_id: bool  # a query never finds the document that has its own id
    judged_only: list[Name]  # data sets whose queries rank their own judged documents instead of the corpus

    @property
    def depth(self) -> int:
        """Return how many documents of a corpus are looked for."""
        return max(self.ks) + self.exclude_same_id

    @model_validator(mode="after")
    def _search_is_deep_enough(self) -> Self:
        if isinstance(self.search, Graph) and self.search.search_depth < self.depth:
            raise ValueError(
                f"search.search_depth: expected at least the {self.depth} documents looked for, "
                f"got {self.search.search_depth}"
            )
        return self


class Eval(Measuring):
    """Every model is evaluated on every data set's test split."""

    models: Annotated[list[Name], Field(min_length=1)]
    datasets: Annotated[list[Name], Field(min_length=1)]


def read_measuring() -> Measuring:
    """Return the part of `eval` that a cell depends on; its lists are not declared by the stage of a cell."""
    return Measuring.parse("eval", {name: read_value(f"eval.{name}") for name in Measuring.model_fields})
