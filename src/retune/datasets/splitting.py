"""Cut dev and test from the train queries so that related queries stay in one split."""

import math

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.params.convert import Convert


def assign_splits(queries: pd.DataFrame, qrels: pd.DataFrame, params: Convert, *, seed: int, where: str) -> pd.Series:
    """Return the split of each query; if `params` gives a share for dev or test, it is cut from train.

    `split_by` defines the parts that stay together: single queries, the queries of a group, or the queries connected
    by shared relevant documents. The parts are shuffled with `seed` and taken until the share, rounded down to whole
    queries, is reached.

    Args:
        queries: `query_id`, `split` (from the source), `group`.
        qrels: `query_id`, `doc_id`, `relevance`.
        params: The shares and `split_by`.
        seed: The seed of the shuffle.
        where: The entry of params.yaml, for messages.

    Raises:
        InputError: A split is `given` but missing in the source, should be cut but exists in the source, or is empty.
    """
    splits = queries["split"].astype(object)
    if queries.empty:
        return splits
    available = set(splits)
    for name, share in (("dev", params.dev), ("test", params.test)):
        if share == "given" and name not in available:
            raise InputError(
                f"{where}: {name}: expected the share to cut from train, as the source has no {name} split, got given"
            )
        if share != "given" and name in available:
            raise InputError(f"{where}: {name}: expected given, as the source has a {name} split, got {share}")
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
    """Return the part of each query; queries of one part stay in one split."""
    match split_by:
        case "query":
            return queries["query_id"]
        case "group":
            return queries["group"]
        case _:
            return _connected(queries, qrels)


def _connected(queries: pd.DataFrame, qrels: pd.DataFrame) -> pd.Series:
    """Return each query's connected component in the graph of queries and their relevant documents."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

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
    """Assign the queries to train, dev or test by part, filling dev and test up to their shares.

    A part that would exceed the share by more than half stays in train, because one huge part is not a fair sample.
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
    """Round down, except that 99.9999999 gives 100 and every number above 0 at least 1."""
    return max(math.floor(count + 1e-6), int(count > 0))
