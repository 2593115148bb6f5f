"""Section `compare`: what the verdict looks at, how sure it has to be, and what may pass."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from retune.core.section import Name, Section


class Gate(Section):
    """What every run has to keep to, or `make gate` fails; an absent one asks for nothing."""

    min_gain: float | None = None  # at home, at the lower end of the confidence interval
    max_forgetting: float | None = None  # on each other data set, at the upper end


class Reference(Section):
    """Published results on a data set, shown beside ours."""

    dataset: Name
    RENAMED = {"source": "write name"}

    name: Annotated[str, Field(min_length=1)]  # the model and who published its figures, in words
    values: Annotated[dict[str, float], Field(min_length=1)]  # by metric


class Compare(Section):
    """The comparison's choices."""

    metric: str  # such as ndcg_at_10
    significance: Annotated[float, Field(gt=0.0, lt=1.0)]  # a corrected p up to it is significant
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)]  # of the intervals, two-sided
    resamples: Annotated[int, Field(ge=1000)]  # of the test and of the bootstrap
    margin: NonNegativeFloat  # a loss that is shown to be smaller does not count as forgetting
    changed_queries: NonNegativeInt  # listed for a run on a data set: those that changed most
    gate: Gate | None = None
    references: list[Reference] = []

    def metrics_on(self, dataset: str) -> list[str]:
        """Return the metric compared, and those of the references on a data set."""
        references = [each for each in self.references if each.dataset == dataset]
        return list(dict.fromkeys([self.metric, *(metric for each in references for metric in each.values)]))
