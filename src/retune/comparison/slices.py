"""Changes on parts of a test set: short and long queries, known and unknown answers, and a user's own classes."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from retune.comparison.lineage import Run
from retune.comparison.score_tables import ScoreTable
from retune.comparison.significance import bootstrap_sums, interval
from retune.comparison.test_sets import JudgedQueries
from retune.comparison.verdict import FEWEST, printed
from retune.core.errors import InputError
from retune.core.seeds import generator
from retune.params.compare import Compare
from retune.reading.user_tables import read_user_table

MOST_VALUES = 20  # of a user's column
OWN_SLICES = ("query length", "relevant document length", "relevant documents", "relevant documents trained on")
POSITIVES = ((1, "1"), (5, "2 to 5"), (np.inf, "6 or more"))

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SliceChange:
    """A run on a part of a data set's test queries.

    Attributes:
        model: The run.
        dataset: The data set.
        slice: What the queries are divided by.
        value: The part.
        queries: Queries in it.
        base_score: The base's mean over them.
        score: The run's.
        change: Mean of the differences.
        low: Lower end of its bootstrap interval; None below 30 queries.
        high: Upper end.
    """

    model: str
    dataset: str
    slice: str
    value: str
    queries: int
    base_score: float
    score: float
    change: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Part:
    """The queries of one value of a slice: `marks` is True for them."""

    slice: str
    value: str
    marks: np.ndarray


def divide(test: JudgedQueries, characters: "pd.Series[int]", given: pd.DataFrame | None) -> list[Part]:
    """Divide a data set's queries in every way there is; a way that leaves them together is left out.

    Args:
        test: The data set.
        characters: Length of each relevant document, by id.
        given: A user's columns by query id, or None.
    """
    ids = test.queries.index
    relevant = test.relevant.assign(
        characters=test.relevant["doc_id"].map(characters), trained=test.relevant["doc_id"].isin(test.trained_on)
    ).groupby("query_id")
    count = relevant.size().reindex(ids, fill_value=0)
    trained = relevant["trained"].mean().reindex(ids, fill_value=0.0)
    own = (
        _by_length(test.queries.str.len()),
        _by_length(relevant["characters"].mean().reindex(ids)),
        count.map(lambda each: next(name for most, name in POSITIVES if each <= most)),
        trained.map(lambda share: {0.0: "none", 1.0: "all"}.get(share, "some")),
    )
    classes = dict(zip(OWN_SLICES, own, strict=True))
    if given is not None:
        classes |= {str(name): given[name].reindex(ids, fill_value="not given") for name in given}
    return [part for name, values in classes.items() for part in _parts(name, values)]


def read_given_slices(folder: Path, table: ScoreTable) -> pd.DataFrame | None:
    """Read a user's classes of a data set's queries, `<dataset>.csv` with `query_id` and a column for each way.

    Returns:
        Texts by query id, or None without such a file.

    Raises:
        InputError: It is no CSV or has no column but query_id, a query is unknown or there twice, or a column has too
            many values.
    """
    path = folder / f"{table.dataset}.csv"
    if not path.is_file():
        return None
    given = read_user_table(path)
    if "query_id" not in given or len(given.columns) < 2:
        raise InputError(f"{path}: expected columns query_id and one or more others, got {', '.join(given.columns)}")
    if taken := sorted(set(OWN_SLICES) & set(given)):
        raise InputError(f"{path}: expected columns of other names than retune's own, got {taken[0]!r}; rename it")
    if (twice := given["query_id"].duplicated()).any():
        raise InputError(f"{path}: expected each query once, got {given['query_id'][twice].iloc[0]!r} twice")
    unknown = given["query_id"][~given["query_id"].isin(table.query_ids)]
    if len(unknown):
        raise InputError(
            f"{path}: expected test queries of {table.dataset}, got {unknown.iloc[0]!r} and {len(unknown) - 1} more; "
            f"remove them"
        )
    given = given.set_index("query_id")
    for name in given:
        if (number := given[name].nunique()) > MOST_VALUES:
            raise InputError(f"{path}: {name}: expected at most {MOST_VALUES} values, got {number}; give classes")
    return given


def warn_of_unread(folder: Path, datasets: Sequence[str]) -> None:
    """Say which files of a user's classes belong to no data set that is evaluated."""
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in datasets:
            logger.warning("%s: not read, as eval.datasets has no %s", path, path.stem)


def slice_changes(
    table: ScoreTable, runs: Mapping[str, Run], parts: Sequence[Part], params: Compare, seed: int
) -> list[SliceChange]:
    """Compare every run with its base on every part of a data set's queries.

    The bootstrap draws from all queries; a part's resampled mean is over those of it that were drawn.
    """
    tuned = [model for model in table.models if model in runs]
    if not parts or not tuned:
        return []
    differences = np.column_stack([table.change(run, runs[run].base, params.metric) for run in tuned])
    marks = np.column_stack([part.marks for part in parts])
    columns = np.hstack([marks, *(differences * part.marks[:, None] for part in parts)])
    sums = bootstrap_sums(columns, params.resamples, generator(seed, f"slices {table.dataset}"))
    drawn = sums[:, : len(parts)].repeat(len(tuned), axis=1)
    with np.errstate(invalid="ignore"):  # of a tiny part none may be drawn; it gets no interval
        low, high = interval(sums[:, len(parts) :] / drawn, params.confidence)
    changes = []
    for row, part in enumerate(parts):
        for column, run in enumerate(tuned):
            at = row * len(tuned) + column
            ends = (printed(low[at]), printed(high[at])) if part.marks.sum() >= FEWEST else (None, None)
            means = (table.of(model, params.metric)[part.marks].mean() for model in (runs[run].base, run))
            change = differences[part.marks, column].mean()
            numbers = [printed(value) for value in (*means, change)]
            name = (run, table.dataset, part.slice, part.value, int(part.marks.sum()))
            changes.append(SliceChange(*name, *numbers, *ends))
    return changes


def _by_length(lengths: "pd.Series[int]") -> "pd.Series[str]":
    """Name the third of the queries each belongs to; equal lengths stay together."""
    rounded = lengths.round().astype(int)
    short, middle = (int(end) for end in np.quantile(rounded, [1 / 3, 2 / 3], method="lower"))
    names = {
        0: f"up to {short} characters",
        1: f"{short + 1} to {middle} characters",
        2: f"{middle + 1} characters or more",
    }
    return pd.Series(np.searchsorted([short, middle], rounded), index=lengths.index).map(names)


def _parts(name: str, values: "pd.Series[str]") -> list[Part]:
    """Return the parts in the order of their values, or none if there is but one."""
    found = sorted(values.unique(), key=_natural)
    return [Part(name, value, (values == value).to_numpy()) for value in found] if len(found) > 1 else []


def _natural(value: str) -> tuple[list[int], str]:
    """Order by the numbers in a text, then by the text."""
    return [int(number) for number in re.findall(r"\d+", value)], value
