"""Section `compare`: the metric, the significance level and the gate of the verdict."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from retune.core.section import Name, Section


class Gate(Section):
    """Limits that every tuned model must meet, or `make gate` fails; an absent limit is not checked."""

    min_gain: float | None = None  # on the data set it was tuned for, at the lower bound of the confidence interval
    max_forgetting: float | None = None  # on every other data set, at the upper bound of the loss
    seed_spreads: NonNegativeFloat | None = None  # so many standard deviations between seeds are taken off each bound


class Reference(Section):
    """Published results on a data set, shown next to ours."""

    RENAMED = {"source": "write name"}

    dataset: Name
    name: Annotated[str, Field(min_length=1)]  # the model and the publication, in words
    values: Annotated[dict[str, float], Field(min_length=1)]  # by metric


class Compare(Section):
    """How tuned models are compared with their bases."""

    metric: str  # such as ndcg_at_10
    significance: Annotated[float, Field(gt=0.0, lt=1.0)]  # a corrected p-value up to this is significant
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)]  # level of the two-sided intervals
    resamples: Annotated[int, Field(ge=1000)]  # for the significance test and for the bootstrap
    margin: NonNegativeFloat  # a loss that is shown to be smaller does not count as forgetting
    changed_queries: NonNegativeInt  # most changed queries listed for each tuned model and data set
    gate: Gate | None = None
    seeds: dict[Name, Annotated[list[Name], Field(min_length=1)]] = {}  # that differ from one in their seed alone
    pairs: list[Annotated[list[Name], Field(min_length=2, max_length=2)]] = []  # models compared with each other
    references: list[Reference] = []

    def metrics_on(self, dataset: str) -> list[str]:
        """Return the compared metric and the metrics of the references on a data set."""
        published = [metric for item in self.references if item.dataset == dataset for metric in item.values]
        return list(dict.fromkeys([self.metric, *published]))
