"""Changes on slices of a test set, such as short and long queries, or the classes in a user's table."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from retune.comparison.lineage import TunedModel
from retune.comparison.score_tables import ScoreTable
from retune.comparison.significance import bootstrap_sums, interval
from retune.comparison.test_sets import JudgedQueries
from retune.comparison.verdict import FEWEST, printed
from retune.core.errors import InputError
from retune.core.seeds import generator
from retune.core.tracked import require_pulled
from retune.params.compare import Compare
from retune.reading.user_tables import read_user_table

MOST_VALUES = 20  # of a user's column
BUILT_IN_SLICES = ("query length", "relevant document length", "relevant documents", "relevant documents trained on")
POSITIVES = ((1, "1"), (5, "2 to 5"), (np.inf, "6 or more"))

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SliceChange:
    """A tuned model on a group of a data set's test queries.

    Attributes:
        model: The tuned model.
        dataset: The data set.
        slice: The property by which the queries are divided.
        value: The value of that property.
        queries: Number of queries with this value.
        base_score: The base's mean score of them.
        score: The tuned model's mean score of them.
        change: Mean of the differences.
        low: Lower end of the change's bootstrap interval; None for fewer than 30 queries.
        high: Upper end of the interval.
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
class QueryGroup:
    """The queries with one value of a slice; `mask` is True for them."""

    slice: str
    value: str
    mask: np.ndarray


def divide(test: JudgedQueries, characters: "pd.Series[int]", given: pd.DataFrame | None) -> list[QueryGroup]:
    """Divide a data set's queries by every slice; a slice with one value is left out.

    Args:
        test: The test queries and their relevant documents.
        characters: Length of each relevant document, by id.
        given: The user's columns by query id, or None.
    """
    ids = test.queries.index
    relevant = test.relevant.assign(
        characters=test.relevant["doc_id"].map(characters), trained=test.relevant["doc_id"].isin(test.trained_on)
    ).groupby("query_id")
    count = relevant.size().reindex(ids, fill_value=0)
    trained = relevant["trained"].mean().reindex(ids, fill_value=0.0)
    built_in = (
        _by_length(test.queries.str.len()),
        _by_length(relevant["characters"].mean().reindex(ids)),
        count.map(lambda number: next(name for most, name in POSITIVES if number <= most)),
        trained.map(lambda share: {0.0: "none", 1.0: "all"}.get(share, "some")),
    )
    classes = dict(zip(BUILT_IN_SLICES, built_in, strict=True))
    if given is not None:
        classes |= {str(name): given[name].reindex(ids, fill_value="not given") for name in given}
    return [group for name, values in classes.items() for group in _groups(name, values)]


def read_given_slices(folder: Path, table: ScoreTable) -> pd.DataFrame | None:
    """Read the user's classes of a data set's queries: `<dataset>.csv` with `query_id` and one column for each slice.

    Returns:
        The columns by query id, or None if there is no such file.

    Raises:
        InputError: The file is not CSV or has only the column query_id, a query is unknown or listed twice, a column
            has too many values, or the file was not pulled.
    """
    path = folder / f"{table.dataset}.csv"
    require_pulled(path)
    if not path.is_file():
        return None
    given = read_user_table(path)
    if "query_id" not in given or len(given.columns) < 2:
        raise InputError(f"{path}: expected columns query_id and one or more others, got {', '.join(given.columns)}")
    if taken := sorted(set(BUILT_IN_SLICES) & set(given)):
        raise InputError(f"{path}: expected columns of other names than retune's own, got {taken[0]!r}; rename it")
    if (repeated := given["query_id"].duplicated()).any():
        raise InputError(f"{path}: expected each query once, got {given['query_id'][repeated].iloc[0]!r} twice")
    unknown = given["query_id"][~given["query_id"].isin(table.query_ids)]
    if len(unknown):
        raise InputError(
            f"{path}: expected test queries of {table.dataset}, got {unknown.iloc[0]!r} and {len(unknown) - 1} more; "
            f"remove them"
        )
    given = given.set_index("query_id")
    for name in given:
        if (number := given[name].nunique()) > MOST_VALUES:
            raise InputError(
                f"{path}: {name}: expected at most {MOST_VALUES} values, got {number}; group them into classes"
            )
    return given


def warn_of_unread(folder: Path, datasets: Sequence[str]) -> None:
    """Log the files of a user's classes whose data set is not evaluated."""
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in datasets:
            LOG.warning("%s: not read, because eval.datasets has no %s", path, path.stem)


def slice_changes(
    table: ScoreTable, tuned_models: Mapping[str, TunedModel], groups: Sequence[QueryGroup], params: Compare, seed: int
) -> list[SliceChange]:
    """Compare every tuned model with its base on every group of a data set's queries.

    The bootstrap draws from all queries; the resampled mean of a group is over its queries that were drawn.
    """
    names = [model for model in table.models if model in tuned_models]
    if not groups or not names:
        return []
    bases = [tuned_models[name].base for name in names]
    differences = np.column_stack(
        [table.change(name, base, params.metric) for name, base in zip(names, bases, strict=True)]
    )
    masks = np.column_stack([group.mask for group in groups])
    columns = np.hstack([masks, *(differences * group.mask[:, None] for group in groups)])
    sums = bootstrap_sums(columns, params.resamples, generator(seed, f"slices {table.dataset}"))
    drawn = sums[:, : len(groups)].repeat(len(names), axis=1)
    with np.errstate(invalid="ignore"):  # a sample may hold no query of a tiny group, which gets no interval
        low, high = interval(sums[:, len(groups) :] / drawn, params.confidence)
    changes = []
    for row, group in enumerate(groups):
        count = int(group.mask.sum())
        for column, (name, base) in enumerate(zip(names, bases, strict=True)):
            position = row * len(names) + column
            has_interval = count >= FEWEST
            changes.append(
                SliceChange(
                    model=name,
                    dataset=table.dataset,
                    slice=group.slice,
                    value=group.value,
                    queries=count,
                    base_score=printed(table.of(base, params.metric)[group.mask].mean()),
                    score=printed(table.of(name, params.metric)[group.mask].mean()),
                    change=printed(differences[group.mask, column].mean()),
                    low=printed(low[position]) if has_interval else None,
                    high=printed(high[position]) if has_interval else None,
                )
            )
    return changes


def _by_length(lengths: "pd.Series[int]") -> "pd.Series[str]":
    """Divide the queries into thirds by length and name the third of each; equal lengths stay together."""
    rounded = lengths.round().astype(int)
    short, middle = (int(end) for end in np.quantile(rounded, [1 / 3, 2 / 3], method="lower"))
    names = {
        0: f"up to {short} characters",
        1: f"{short + 1} to {middle} characters",
        2: f"{middle + 1} characters or more",
    }
    return pd.Series(np.searchsorted([short, middle], rounded), index=lengths.index).map(names)


def _groups(name: str, values: "pd.Series[str]") -> list[QueryGroup]:
    """Return the groups in the order of their values, or none if there is only one."""
    found = sorted(values.unique(), key=_natural)
    return [QueryGroup(name, value, (values == value).to_numpy()) for value in found] if len(found) > 1 else []


def _natural(value: str) -> tuple[list[int], str]:
    """Return a key that sorts texts by the numbers in them, then alphabetically."""
    return [int(number) for number in re.findall(r"\d+", value)], value
