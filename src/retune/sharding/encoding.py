"""Encode a share of a data set's texts on one machine, and put the vectors of all shards into an embedding cache."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retune.core.errors import InputError
from retune.core.files import json_hash
from retune.core.records import SPLITS, document_texts, read_corpus, read_split
from retune.encoding.cache import Entry, open_cache
from retune.encoding.cache_store import count_vectors
from retune.encoding.compute import Cache, Compute
from retune.encoding.encoder import Encoder, query_inputs
from retune.encoding.fingerprint import ModelFiles
from retune.models.encoding_settings import Role
from retune.sharding.shard import CODE, Result, Shard, Work, code_hash, files_hash

LOG = logging.getLogger(__name__)
ROLES: tuple[Role, ...] = ("documents", "queries")
CHUNK = 10_000  # rows that are written to the cache at once


def encode_shard(model: Path, dataset: Path, shard: Shard, compute: Compute, *, dtype: str) -> Result:
    """Return the vectors of one share of the documents, and of one of the queries of all splits.

    Args:
        model: The model directory.
        dataset: The data set.
        shard: Which share.
        compute: Device and token budget; nothing is cached here.
        dtype: The number format of a model whose own settings say `auto`.
    """
    files = ModelFiles.of(model)
    encoder = Encoder.load(model, compute.model_copy(update={"cache": None}), dtype=dtype)
    keys = {role: encoder.runner.key(files, role) for role in ROLES}
    documents, queries = read_corpus(dataset), pd.concat([read_split(dataset, split).queries for split in SPLITS])
    queries = queries.drop_duplicates(["text", "prompt"])
    texts = document_texts(documents)[shard.rows(len(documents))]
    asked = queries.iloc[shard.rows(len(queries))]
    prompts = [prompt if isinstance(prompt, str) else None for prompt in asked["prompt"]]
    inputs = {
        "documents": [encoder.encoding.document_prefix + text for text in texts],
        "queries": query_inputs(asked["text"].tolist(), prompts, encoder.encoding),
    }
    vectors = [encoder.encode_documents(texts), encoder.encode_queries(asked["text"].tolist(), prompts)]
    cuts = [encoder.tokenize(inputs[role], role)[1] for role in ROLES]
    values = np.concatenate(vectors)
    table = pa.table(
        {
            "role": [role for role in ROLES for _ in inputs[role]],
            "text": [text for role in ROLES for text in inputs[role]],
            "is_cut": [is_cut for part in cuts for is_cut in part],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1]),
        }
    )
    if keys != {role: encoder.runner.key(files, role) for role in ROLES}:
        raise InputError("compute.token_budget: expected one that fits into memory, got a larger one; lower it")
    hashes = {"code": code_hash(CODE), "parameters, model or machine": json_hash(keys), "data": files_hash(dataset)}
    work = Work(f"encode.{model.name}.{dataset.name}", hashes)
    return Result(work, shard, {"keys": keys, "model": files.name, "dim": values.shape[1]}, lambda: table)


def merge_vectors(results: list[Result], cache: Cache | None) -> str:
    """Put the vectors of all shards into the embedding cache, where stages find them; return what was done.

    Raises:
        InputError: There is no cache, it cannot be written to, or it may not hold as much.
    """
    if cache is None:
        raise InputError("RETUNE_CACHE: expected a folder for the vectors, found none; unset it, or name one")
    facts, texts = results[0].facts, {role: set[bytes]() for role in ROLES}
    for result in results:
        table = result.read()
        for role in ROLES:
            rows = table.filter(pc.equal(table["role"], role))
            texts[role].update(map(_digest, rows["text"].to_pylist()))
            _store(rows, cache, Entry(facts["keys"][role], facts["model"], role, facts["dim"]))
    for role in ROLES:
        if (kept := count_vectors(cache.folder, facts["keys"][role])) < len(texts[role]):
            raise InputError(
                f"RETUNE_CACHE_GB: expected room for {len(texts[role]):,} vectors of {role}, {kept:,} were kept within "
                f"{cache.max_gb:g} GB; raise it, and merge again"
            )
    return (
        f"{results[0].work.name}: {len(texts['documents']):,} documents and {len(texts['queries']):,} queries are in "
        f"{cache.folder}; stages on machines like those that encoded them find them there"
    )


def _digest(text: str) -> bytes:
    """Return what stands for a text when millions are counted."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _store(rows: pa.Table, cache: Cache, entry: Entry) -> None:
    with open_cache(cache, entry) as opened:
        for start in range(0, len(rows), CHUNK):
            part = rows.slice(start, CHUNK)
            vectors = part["vector"].combine_chunks().flatten().to_numpy().reshape(len(part), -1)
            opened.write(part["text"].to_pylist(), vectors, part["is_cut"].to_numpy())
            opened.store()
        if len(rows) and not opened.has_written:
            raise InputError(f"RETUNE_CACHE: expected a folder to write to, got {str(cache.folder)!r}; fix it")
