"""Cut dev and test from the training queries so that nothing named lies on both sides."""

import math

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from retune.core.errors import InputError
from retune.params.convert import Convert


def assign_splits(queries: pd.DataFrame, qrels: pd.DataFrame, params: Convert, *, seed: int, where: str) -> pd.Series:
    """Return each query's split, dev and test cut from the train queries where `params` gives a share.

    What stays together (`split_by`): a query alone, all queries of a group, or all queries connected by
    shared relevant documents. Parts are shuffled with `seed` and taken until the share, rounded down to whole
    queries, is reached.

    Args:
        queries: `query_id`, `split` (as the source has it), `group`.
        qrels: `query_id`, `doc_id`, `relevance`.
        params: Shares and `split_by`.
        seed: Of the shuffle.
        where: The entry of params.yaml, for messages.

    Raises:
        InputError: A split is `given` but the source has none, is to be cut but the source has it, or ends empty.
    """
    splits = queries["split"].astype(object)
    if queries.empty:
        return splits
    available = set(splits)
    for name, share in (("dev", params.dev), ("test", params.test)):
        if share == "given" and name not in available:
            raise InputError(f"{where}: {name}: the source has no {name} split; give the share to cut from train")
        if share != "given" and name in available:
            raise InputError(f"{where}: {name}: the source has its own {name} split; write {name}: given")
    train = splits == "train"
    parts = _parts(queries, qrels, params.split_by)[train]
    splits[train] = _cut(parts, dev=_share(params.dev), test=_share(params.test), seed=seed)
    wanted = {"train"} if train.any() else set()
    wanted |= {name for name, share in (("dev", params.dev), ("test", params.test)) if share != 0.0}
    if empty := sorted(wanted - set(splits)):
        raise InputError(
            f"{where}: expected queries in every split, got none in {', '.join(empty)}: {int(train.sum())} train "
            f"queries in {parts.nunique()} parts by {params.split_by}, the largest of {parts.value_counts().max()}; "
            "change the shares or split_by"
        )
    return splits


def _share(value: float | str) -> float:
    return 0.0 if isinstance(value, str) else value


def _parts(queries: pd.DataFrame, qrels: pd.DataFrame, split_by: str) -> pd.Series:
    """Name, for each query, what must stay on one side with it."""
    match split_by:
        case "query":
            return queries["query_id"]
        case "group":
            return queries["group"]
        case _:
            return _connected(queries, qrels)


def _connected(queries: pd.DataFrame, qrels: pd.DataFrame) -> pd.Series:
    """Number the connected components of the graph of queries and their relevant documents."""
    query_ids = pd.Index(queries["query_id"])
    relevant = qrels[qrels["relevance"] > 0]
    documents = pd.Index(relevant["doc_id"].unique())
    rows = query_ids.get_indexer(relevant["query_id"])
    columns = len(query_ids) + documents.get_indexer(relevant["doc_id"])
    size = len(query_ids) + len(documents)
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    return pd.Series(components[: len(query_ids)], index=queries.index)


def _cut(parts: pd.Series, *, dev: float, test: float, seed: int) -> np.ndarray:
    """Assign each query's part to train, dev or test, by shares of the queries.

    A part that would exceed the share by more than half of it stays in train: one huge part is no sample.
    """
    sizes = parts.value_counts().sort_index()
    counts = sizes.to_numpy()
    order = np.random.default_rng(seed).permutation(len(counts))
    names = np.full(len(counts), "train", dtype=object)
    for name, share in (("test", test), ("dev", dev)):
        wanted = _whole(share * len(parts))
        limit, filled = max(1.5 * wanted, min(counts, default=0)), 0
        for part in order:
            if filled >= wanted:
                break
            if names[part] == "train" and filled + counts[part] <= limit:
                names[part] = name
                filled += counts[part]
    return pd.Series(names, index=sizes.index)[parts].to_numpy()


def _whole(count: float) -> int:
    """Round down, but 99.99999 to 100, and what is above 0 to at least 1."""
    return max(math.floor(count + 1e-6), int(count > 0))
