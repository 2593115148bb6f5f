"""Search a share of the documents on one machine, and merge what all shards found: the exact neighbours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from retune.core.errors import InputError
from retune.core.files import json_hash
from retune.core.records import document_texts, read_corpus, read_split
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.encoding.fingerprint import ModelFiles
from retune.params.eval import Measuring
from retune.params.search import Graph, InvertedLists
from retune.retrieval.exact import merge_top_k, top_k
from retune.retrieval.trec_runs import run_table
from retune.sharding.shard import CODE, Result, Shard, Work, code_hash, files_hash


def search_shard(
    model: Path, dataset: Path, shard: Shard, compute: Compute, measuring: Measuring, *, excluded: Path
) -> Result:
    """Return the nearest documents of one share for each test query, as many as `eval` asks for.

    Args:
        model: The model directory.
        dataset: The data set.
        shard: Which share of the documents.
        compute: For encoding.
        measuring: How `eval` measures; shards have exact search over all documents and dimensions alone.
        excluded: The folder of excluded documents.

    Raises:
        InputError: `eval` would do something else.
    """
    k = max(measuring.ks)
    _check_plain(measuring, dataset.name, excluded)
    encoder = Encoder.load(model, compute, dtype=measuring.dtype)
    corpus, queries = read_corpus(dataset), read_split(dataset, "test").queries
    rows = shard.rows(len(corpus))
    documents = encoder.encode_documents(document_texts(corpus)[rows], ids=corpus["doc_id"][rows].tolist())
    texts, prompts, ids = (queries[column].tolist() for column in ("text", "prompt", "query_id"))
    scores, positions = top_k(encoder.encode_queries(texts, prompts, ids=ids), documents, k, device=encoder.device)
    row, _ = np.indices(scores.shape)
    table = pa.table({"query": row.ravel(), "position": positions.ravel() + rows.start, "score": scores.ravel()})
    files = ModelFiles.of(model)
    keys = [encoder.runner.key(files, role) for role in ("documents", "queries")]
    hashes = {
        "code": code_hash(CODE),
        "parameters, model or machine": json_hash([*keys, k]),
        "data": files_hash(dataset),
    }
    work = Work(f"search.{model.name}.{dataset.name}", hashes)
    return Result(work, shard, {"depth": scores.shape[1], "k": k}, lambda: table)


def _check_plain(measuring: Measuring, dataset: str, excluded: Path) -> None:
    unlike = {
        "dims": measuring.dims is not None,
        "exclude_same_id": measuring.exclude_same_id,
        "judged_only": dataset in measuring.judged_only,
        "search": isinstance(measuring.search, InvertedLists | Graph),
    }
    for name, is_unlike in unlike.items():
        if is_unlike:
            raise InputError(f"params.yaml: eval.{name}: expected a plain exact search, got another; run eval instead")
    if (table := excluded / f"{dataset}.csv").exists():
        raise InputError(f"{table}: expected no excluded documents for a search in shards; run eval instead")


def merge_search(results: Sequence[Result], dataset: Path) -> pd.DataFrame:
    """Return the run of all shards, as `eval` writes it.

    Raises:
        InputError: The data set here is another one.
    """
    if results[0].work.hashes["data"] != files_hash(dataset):
        raise InputError(f"{dataset}: expected the data set that was searched, got another; search again")
    queries, corpus = read_split(dataset, "test").queries, read_corpus(dataset)
    parts = []
    for result in results:
        table, shape = result.read(), (len(queries), result.facts["depth"])
        parts.append((table["score"].to_numpy().reshape(shape), table["position"].to_numpy().reshape(shape)))
    scores, positions = merge_top_k(parts, results[0].facts["k"])
    return run_table(scores, positions, queries["query_id"], corpus["doc_id"])
