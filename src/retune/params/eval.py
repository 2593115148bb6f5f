"""Section `eval`: which models are evaluated on which data sets, and how."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from retune.core.section import Dtype, Name, Section, read_value
from retune.params.search import Graph, Search


class Measuring(Section):
    """How every model is evaluated on every data set."""

    ks: Annotated[list[PositiveInt], Field(min_length=1)]  # cut-offs of every metric
    dims: PositiveInt | None  # keep this many first dimensions of each vector, scaled to length 1; null: all
    dtype: Dtype  # in which vectors are computed if the model's own settings say auto
    search: Search
    exclude_same_id: bool  # a query never finds the document with the same id
    judged_only: list[Name]  # data sets in which each query ranks just its judged documents instead of the corpus

    @property
    def depth(self) -> int:
        """Return the number of documents to retrieve for each query."""
        return max(self.ks) + self.exclude_same_id

    @model_validator(mode="after")
    def _search_is_deep_enough(self) -> Self:
        if isinstance(self.search, Graph) and self.search.search_depth < self.depth:
            raise ValueError(
                f"search.search_depth: expected at least the {self.depth} documents to retrieve, "
                f"got {self.search.search_depth}"
            )
        return self


class Eval(Measuring):
    """Evaluate every model on the test split of every data set."""

    models: Annotated[list[Name], Field(min_length=1)]
    datasets: Annotated[list[Name], Field(min_length=1)]


def read_measuring() -> Measuring:
    """Return the parameters of one evaluation: those of `eval` except the lists of models and data sets.

    The stage declares no dependency on these lists, so that extending them reruns nothing.
    """
    return Measuring.parse("eval", {name: read_value(f"eval.{name}") for name in Measuring.model_fields})
