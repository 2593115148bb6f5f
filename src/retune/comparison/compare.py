"""Compare fine-tuned models with their bases: gained at home, forgotten elsewhere, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from retune.comparison.lineage import Run
from retune.comparison.score_tables import ScoreTable
from retune.comparison.significance import bootstrap_sums, interval, minimum_detectable_effect, p_values
from retune.comparison.verdict import FEWEST, Cell, judge, printed
from retune.core.seeds import generator
from retune.params.compare import Compare


@dataclass(frozen=True)
class Comparison:
    """What the models score, and how each run differs from its base.

    Attributes:
        params: What was asked for.
        runs: The fine-tuned models.
        cells: Every model on every data set, in the order listed.
    """

    params: Compare
    runs: Mapping[str, Run]
    cells: list[Cell]

    def of(self, model: str) -> list[Cell]:
        """Return one model's cells."""
        return [cell for cell in self.cells if cell.model == model]

    def home(self, run: str) -> Cell:
        """Return a run's cell on the data set it was tuned for."""
        return next(cell for cell in self.of(run) if cell.is_home)

    def elsewhere(self, run: str) -> list[Cell]:
        """Return a run's cells on all other data sets, what was lost most first."""
        return sorted((cell for cell in self.of(run) if not cell.is_home), key=lambda cell: cell.change or 0.0)


def compare(tables: Sequence[ScoreTable], runs: Mapping[str, Run], params: Compare, seed: int) -> Comparison:
    """Compare every run with its base on every data set."""
    cells = {(cell.model, cell.dataset): cell for table in tables for cell in _cells(table, runs, params, seed)}
    ordered = [cells[model, table.dataset] for model in tables[0].models for table in tables]
    return Comparison(params, runs, judge(ordered, params))


def summarise(comparison: Comparison) -> dict[str, dict[str, float]]:
    """Return `gain`, `forgetting_mean` and `forgetting_worst`, each by run.

    Gain is the change at home. Forgetting is the base's score minus the run's on another data set, above 0 where
    the run got worse; its mean and its worst are over all others and absent where there is none.
    """
    summary: dict[str, dict[str, float]] = {"gain": {}, "forgetting_mean": {}, "forgetting_worst": {}}
    for run in comparison.runs:
        summary["gain"][run] = comparison.home(run).change or 0.0
        lost = [0.0 - (cell.change or 0.0) for cell in comparison.elsewhere(run)]
        if lost:
            summary["forgetting_mean"][run] = printed(sum(lost) / len(lost))
            summary["forgetting_worst"][run] = max(lost)
    return summary


def gain_kept(comparison: Comparison, run: str) -> float | None:
    """Return a run's gain over the best gain of any run of the same base and home.

    What a run that forgets less has kept of the gain; None where it is the only one, or none gained.
    """
    gains = {
        name: comparison.home(name).change or 0.0
        for name, other in comparison.runs.items()
        if (other.base, other.home) == (comparison.runs[run].base, comparison.runs[run].home)
    }
    best = max(gains.values())
    return printed(gains[run] / best) if len(gains) > 1 and best > 0.0 else None


def by_model(comparison: Comparison) -> dict[str, dict[str, float]]:
    """Return each model's score by data set."""
    scores: dict[str, dict[str, float]] = {}
    for cell in comparison.cells:
        scores.setdefault(cell.model, {})[cell.dataset] = cell.score
    return scores


def _cells(table: ScoreTable, runs: Mapping[str, Run], params: Compare, seed: int) -> list[Cell]:
    """Return the cells of one data set; p-values are not corrected yet."""
    tuned = [model for model in table.models if model in runs]
    scores = table.scores[params.metric]
    differences = np.column_stack([scores[:, :0], *(table.change(run, runs[run].base, params.metric) for run in tuned)])
    statistics = _statistics(table.dataset, scores, differences, params, seed) if len(scores) >= FEWEST else None
    cells = []
    for column, model in enumerate(table.models):
        low, high = statistics.ends(column) if statistics else (None, None)
        cell = Cell(model, table.dataset, len(scores), table.mean(model, params.metric), low, high)
        if model in runs:
            row = tuned.index(model)
            cell = _against_base(cell, runs[model], table.mean(runs[model].base, params.metric), differences[:, row])
            if statistics:
                low, high = statistics.ends(len(table.models) + row)
                cell = replace(cell, low=low, high=high, p=statistics.p[row], mde=statistics.effect(row))
        cells.append(cell)
    return cells


def _against_base(cell: Cell, run: Run, base_score: float, differences: np.ndarray) -> Cell:
    """Add what needs no statistics."""
    return replace(
        cell,
        base=run.base,
        is_home=cell.dataset == run.home,
        base_score=base_score,
        change=printed(differences.mean()),
        better=int((differences > 0.0).sum()),
        worse=int((differences < 0.0).sum()),
    )


@dataclass(frozen=True)
class _Statistics:
    """Of one data set: ends of the intervals of all models, then of all runs' changes; p and effects by run."""

    low: np.ndarray
    high: np.ndarray
    p: list[float]
    effects: np.ndarray

    def ends(self, column: int) -> tuple[float, float]:
        return printed(self.low[column]), printed(self.high[column])

    def effect(self, row: int) -> float | None:
        """Return the smallest change that would be found; None where all queries changed alike."""
        return printed(self.effects[row]) or None


def _statistics(dataset: str, scores: np.ndarray, differences: np.ndarray, params: Compare, seed: int) -> _Statistics:
    columns = np.hstack([scores, differences])
    sums = bootstrap_sums(columns, params.resamples, generator(seed, f"bootstrap {dataset}"))
    return _Statistics(
        *interval(sums / len(scores), params.confidence),
        p=[round(p, 6) for p in p_values(differences, params.resamples, generator(seed, f"randomisation {dataset}"))],
        effects=minimum_detectable_effect(differences, params.significance),
    )
