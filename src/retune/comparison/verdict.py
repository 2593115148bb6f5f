"""What is said of a run on a data set: the numbers of a cell, and one of six words with a fixed meaning."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from retune.comparison.significance import holm
from retune.core.records import DECIMALS
from retune.params.compare import Compare

FEWEST = 30  # queries; with fewer no statistics are given

Word = Literal["improved", "worse", "forgot", "non-inferior", "no difference shown", "withheld"]


@dataclass(frozen=True)
class Cell:
    """One model on one data set. What compares it with its base is None for a model that is no run.

    Attributes:
        model: The model's name.
        dataset: The data set's name.
        queries: Test queries.
        score: Mean over them.
        score_low: Lower end of the mean's confidence interval; None below 30 queries, as all statistics.
        score_high: Its upper end.
        base: The model it was tuned from.
        is_home: Whether it was tuned for this data set.
        base_score: The base's mean.
        change: Mean of the differences, score minus the base's; above 0 it got better.
        low: Lower end of the change's confidence interval.
        high: Its upper end.
        p: Of the paired randomisation test.
        p_holm: The same, corrected for the number of cells tested.
        mde: Minimum detectable effect: the change that would be found with a power of 80 %; None if all changed alike.
        better: Queries that score higher than with the base.
        worse: Queries that score lower.
        word: The verdict.
        reason: Why it is withheld.
    """

    model: str
    dataset: str
    queries: int
    score: float
    score_low: float | None = None
    score_high: float | None = None
    base: str | None = None
    is_home: bool = False
    base_score: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    mde: float | None = None
    better: int | None = None
    worse: int | None = None
    word: Word | None = None
    reason: str | None = None


def printed(value: float) -> float:
    """Round to the decimals that are written, minus zero to zero."""
    return round(float(value), DECIMALS) + 0.0


def judge(cells: Sequence[Cell], params: Compare) -> list[Cell]:
    """Correct the p-values of all cells as one family, and give every run's cell its word."""
    corrected = iter(holm([cell.p for cell in cells if cell.p is not None]))
    judged = []
    for cell in cells:
        if cell.p is not None:
            p_holm = round(next(corrected), 6)
            judged.append(replace(cell, p_holm=p_holm, word=_word(cell, p_holm <= params.significance, params.margin)))
        elif cell.base is not None:
            reason = f"{cell.queries} test queries, fewer than {FEWEST}"
            judged.append(replace(cell, word="withheld", reason=reason))
        else:
            judged.append(cell)
    return judged


def _word(cell: Cell, is_significant: bool, margin: float) -> Word:
    """Return the word of a cell that was tested."""
    change, low = cell.change or 0.0, cell.low or 0.0
    if is_significant and change > 0.0:
        return "improved"
    is_worse = is_significant and change < 0.0  # a change that rounds to 0 is neither
    if is_worse and cell.is_home:
        return "worse"
    if not cell.is_home and low > -margin:
        return "non-inferior"
    return "forgot" if is_worse else "no difference shown"
