"""Search a share of the documents on one machine, and merge what all shards found: the exact neighbours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from retune.core.records import document_texts, read_corpus, read_split
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.encoding.fingerprint import ModelFiles
from retune.retrieval.exact import merge_top_k, top_k
from retune.retrieval.trec_runs import run_table
from retune.sharding.shard import Result, Shard, Work, files_hash


def search_shard(model: Path, dataset: Path, shard: Shard, compute: Compute, *, dtype: str, k: int) -> Result:
    """Return the `k` nearest documents of one share for each test query.

    Args:
        model: The model directory.
        dataset: The data set.
        shard: Which share of the documents.
        compute: For encoding.
        dtype: The number format of a model whose own settings say `auto`.
        k: The number of documents for each query.
    """
    encoder = Encoder.load(model, compute, dtype=dtype)
    corpus, queries = read_corpus(dataset), read_split(dataset, "test").queries
    rows = shard.rows(len(corpus))
    documents = encoder.encode_documents(document_texts(corpus)[rows], ids=corpus["doc_id"][rows].tolist())
    texts, prompts, ids = (queries[column].tolist() for column in ("text", "prompt", "query_id"))
    scores, positions = top_k(encoder.encode_queries(texts, prompts, ids=ids), documents, k, device=encoder.device)
    row, _ = np.indices(scores.shape)
    table = pa.table({"query": row.ravel(), "position": positions.ravel() + rows.start, "score": scores.ravel()})
    files = ModelFiles.of(model)
    keys = "".join(encoder.runner.key(files, role) for role in ("documents", "queries"))
    work = Work(
        f"search.{model.name}.{dataset.name}",
        {"code, parameters or machine": keys, "data": files_hash(dataset), "k": str(k)},
    )
    return Result(work, shard, table, {"depth": scores.shape[1], "k": k})


def merge_search(results: Sequence[Result], dataset: Path) -> pd.DataFrame:
    """Return the run of all shards, as `eval` writes it for exact search."""
    queries, corpus = read_split(dataset, "test").queries, read_corpus(dataset)
    parts = [
        tuple(
            result.table[name].to_numpy().reshape(len(queries), result.facts["depth"]) for name in ("score", "position")
        )
        for result in results
    ]
    scores, positions = merge_top_k(parts, results[0].facts["k"])
    return run_table(scores, positions, queries["query_id"], corpus["doc_id"])
