"""Cut dev and test from the training queries so that nothing named lies on both sides."""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from retune.converters.source import Source
from retune.errors import InputError
from retune.params.convert import Convert


def assign_splits(source: Source, params: Convert, *, seed: int, where: str) -> Source:
    """Return the source with dev and test cut from its train queries, where `params` gives a share.

    What stays together (`split_by`): a query alone, all queries of a group, or all queries connected by
    shared documents. Parts are shuffled with `seed` and taken until the share is reached.

    Raises:
        InputError: A split is `given` but the source has none, is to be cut but the source has it, or ends empty.
    """
    if source.queries.empty:
        return source
    available = set(source.queries["split"])
    for name, share in (("dev", params.dev), ("test", params.test)):
        if share == "given" and name not in available:
            raise InputError(f"{where}: {name}: the source has no {name} split; give the share to cut from train")
        if share != "given" and name in available:
            raise InputError(f"{where}: {name}: the source has its own {name} split; write {name}: given")
    train = source.queries["split"] == "train"
    parts = _parts(source, params.split_by)[train]
    splits = source.queries["split"].astype(object)
    splits[train] = _cut(parts, dev=_share(params.dev), test=_share(params.test), seed=seed)
    wanted = {"train"} if train.any() else set()
    wanted |= {name for name, share in (("dev", params.dev), ("test", params.test)) if share != 0.0}
    if empty := sorted(wanted - set(splits)):
        raise InputError(
            f"{where}: expected queries in every split, got none in {', '.join(empty)}: {int(train.sum())} train "
            f"queries in {parts.nunique()} parts by {params.split_by}, the largest of {parts.value_counts().max()}; "
            "change the shares or split_by"
        )
    return replace(source, queries=source.queries.assign(split=splits))


def _share(value: float | str) -> float:
    return 0.0 if isinstance(value, str) else value


def _parts(source: Source, split_by: str) -> pd.Series:
    """Name, for each query, what must stay on one side with it."""
    match split_by:
        case "query":
            return source.queries["query_id"]
        case "group":
            return source.queries["group"]
        case _:
            return _connected(source)


def _connected(source: Source) -> pd.Series:
    """Number the connected components of the graph of queries and their relevant documents."""
    queries = pd.Index(source.queries["query_id"])
    relevant = source.qrels[source.qrels["relevance"] > 0]
    documents = pd.Index(relevant["doc_id"].unique())
    rows = queries.get_indexer(relevant["query_id"])
    columns = len(queries) + documents.get_indexer(relevant["doc_id"])
    size = len(queries) + len(documents)
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    return pd.Series(components[: len(queries)], index=source.queries.index)


def _cut(parts: pd.Series, *, dev: float, test: float, seed: int) -> np.ndarray:
    """Assign each query's part to train, dev or test, by shares of the queries."""
    sizes = parts.value_counts().sort_index()
    order = np.random.default_rng(seed).permutation(len(sizes))
    before = np.empty(len(sizes))  # share of queries in the parts shuffled ahead of this one
    before[order] = (np.cumsum(sizes.to_numpy()[order]) - sizes.to_numpy()[order]) / len(parts)
    names = np.select([before < test, before < test + dev], ["test", "dev"], "train")
    return pd.Series(names, index=sizes.index)[parts].to_numpy()
