"""Section `merge.<model>`: a model between a base and one or two models that were tuned from it."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from retune.core.section import Name, Section

SEARCHED = tuple(step / 10 for step in range(11))  # weights of the tuned models that a search tries


class Merge(Section):
    """The weighted mean of the weights of a base and one or two tuned models.

    All models and data sets stand in every entry, because dvc.yaml depends on them: where there is no second one, the
    first is repeated.
    """

    OF_ONE_ENTRY = frozenset({"base", "tuned", "tuned_2", "dev", "guard", "guard_2"})

    base: Name  # the model that was tuned
    tuned: Name
    tuned_2: Name  # another model tuned from the base; both tuned models count equally
    dev: Name  # the data set whose dev queries measure the gain
    guard: Name  # a data set whose dev queries must not fall by more than `margin`
    guard_2: Name
    weight: Annotated[float, Field(ge=0.0, le=1.0)] | Literal["search"]  # of the tuned models; the base has the rest
    metric: str  # such as ndcg_at_10; higher is better
    documents: PositiveInt | None = None  # random documents of each data set, ranked with the judged; null: the corpus
    margin: Annotated[float, Field(ge=0.0)]  # how far a guard's score may fall below the base's
    rule: Literal["point", "bound"]  # what must not fall: the mean over the dev queries, or the lower bound of its CI
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]  # of the bound, for all weights together

    @property
    def guards(self) -> list[str]:
        """The names of the guards, each once."""
        return list(dict.fromkeys([self.guard, self.guard_2]))

    @property
    def tuned_models(self) -> list[str]:
        """The names of the tuned models, each once."""
        return list(dict.fromkeys([self.tuned, self.tuned_2]))

    @model_validator(mode="after")
    def _models_and_guards_are_others(self) -> Self:
        if self.base in self.tuned_models:
            raise ValueError(f"base: expected another model than the tuned ones, got {self.base!r}")
        if self.dev in self.guards:
            raise ValueError(f"guard and guard_2: expected other data sets than dev, got {self.dev!r}")
        return self
