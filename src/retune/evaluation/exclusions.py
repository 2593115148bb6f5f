"""Documents that a query may not find: that of its own id, and those of a user's list."""

from pathlib import Path

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.reading.user_tables import read_user_table
from retune.retrieval.retriever import Found

COLUMNS = ["query_id", "doc_id"]


def read_excluded(folder: Path, dataset: str, query_ids: pd.Series, doc_ids: pd.Series) -> pd.DataFrame:
    """Read a user's lists for a data set's test queries, `<dataset>.csv` with a row for each pair.

    Args:
        folder: Of the lists; a data set without a file has none.
        dataset: Its name.
        query_ids: Of all its test queries.
        doc_ids: Of its corpus.

    Returns:
        `query_id`, `doc_id`, each pair once.

    Raises:
        InputError: It is no CSV of these columns, or names a query or a document that there is not.
    """
    path = folder / f"{dataset}.csv"
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS, dtype=str)
    pairs = read_user_table(path)
    if sorted(pairs.columns) != sorted(COLUMNS):
        raise InputError(f"{path}: expected the columns query_id and doc_id, got {', '.join(pairs.columns)}")
    for column, known, kind in (("query_id", query_ids, "test queries"), ("doc_id", doc_ids, "documents")):
        unknown = pairs[column][~pairs[column].isin(known)].unique()
        if len(unknown):
            raise InputError(
                f"{path}: {column}: expected {kind} of {dataset}, got {unknown[0]!r} and {len(unknown) - 1} more; "
                "remove them"
            )
    return pairs[COLUMNS].drop_duplicates(ignore_index=True)


def same_ids(query_ids: pd.Series, doc_ids: pd.Series) -> pd.DataFrame:
    """Return a pair for each query that has the id of a document."""
    own = query_ids[query_ids.isin(doc_ids)]
    return pd.DataFrame({"query_id": own, "doc_id": own})


def without(pairs: pd.DataFrame, excluded: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table of `query_id` and `doc_id` whose pair is not excluded."""
    is_excluded = pd.MultiIndex.from_frame(pairs[COLUMNS]).isin(pd.MultiIndex.from_frame(excluded[COLUMNS]))
    return pairs[~is_excluded]


def drop(found: Found, excluded: pd.DataFrame, query_ids: pd.Series, doc_ids: pd.Series, depth: int) -> Found:
    """Take the excluded documents out of rankings.

    Args:
        found: Rankings deep enough that `depth` documents are left.
        excluded: `query_id`, `doc_id`; of queries and documents that there are.
        query_ids: Of the rows of `found`.
        doc_ids: Of the positions in it.
        depth: Columns to keep.
    """
    rows = pd.Index(query_ids).get_indexer(pd.Index(excluded["query_id"]))
    positions = pd.Index(doc_ids).get_indexer(pd.Index(excluded["doc_id"]))
    size = len(doc_ids)
    keys = np.where(found.positions < 0, -1, found.positions + np.arange(len(query_ids))[:, None] * size)
    is_excluded = np.isin(keys, rows * size + positions)
    order = np.argsort(is_excluded, axis=1, kind="stable")[:, :depth]  # those excluded go last
    scores = np.where(is_excluded, -np.inf, found.scores).astype(np.float32)
    return Found(
        np.take_along_axis(scores, order, axis=1),
        np.take_along_axis(np.where(is_excluded, -1, found.positions), order, axis=1),
        found.recall,
    )
