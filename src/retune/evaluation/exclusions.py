"""Excluded documents, which a query never finds: those in a user's table, and perhaps the one with its id."""

from pathlib import Path

import pandas as pd

from retune.core.errors import InputError
from retune.core.tracked import require_pulled
from retune.reading.user_tables import read_user_table
from retune.retrieval.ranking import Pairs

COLUMNS = ["query_id", "doc_id"]


def read_excluded(folder: Path, dataset: str, query_ids: pd.Series, doc_ids: pd.Series) -> pd.DataFrame:
    """Read a user's table of excluded documents for a data set, `<dataset>.csv`, with one row per pair.

    Args:
        folder: The folder of the tables; without a file, a data set has no excluded documents.
        dataset: The name of the data set.
        query_ids: The ids of all its test queries.
        doc_ids: The ids of its corpus.

    Returns:
        `query_id`, `doc_id`, each pair once.

    Raises:
        InputError: The file is not CSV with these columns, or contains an unknown query or document, or was not pulled.
    """
    path = folder / f"{dataset}.csv"
    require_pulled(path)
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
    """Return a pair of query and document for each id that both have."""
    shared = query_ids[query_ids.isin(doc_ids)]
    return pd.DataFrame({"query_id": shared, "doc_id": shared})


def without(pairs: pd.DataFrame, excluded: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table of `query_id` and `doc_id` whose pair is not excluded."""
    is_excluded = pd.MultiIndex.from_frame(pairs[COLUMNS]).isin(pd.MultiIndex.from_frame(excluded[COLUMNS]))
    return pairs[~is_excluded]


def located(pairs: pd.DataFrame, query_ids: pd.Series, doc_ids: pd.Series) -> Pairs:
    """Return pairs of known ids as rows and positions.

    Args:
        pairs: `query_id`, `doc_id`, each pair once.
        query_ids: The ids of the queries, in the order of the rows.
        doc_ids: The ids of the corpus, in the order of positions.
    """
    rows = pd.Index(query_ids).get_indexer(pd.Index(pairs["query_id"]))
    return Pairs(rows, pd.Index(doc_ids).get_indexer(pd.Index(pairs["doc_id"])))
