"""Hard negatives as the peers mine them, from the files their users have to the files they train on.

Each function imports its libraries and returns what mines: a call that takes a folder with the files of
`write_files`, a model's folder and the file to write.
"""

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

Mine = Callable[[Path, Path, Path], None]

FIRST, STOP, NEGATIVES = 2, 200, 15  # ranks the peers and we draw from, and how many of them
MAX_LENGTH = 256  # tokens, of queries and documents


def write_files(folder: Path, corpus: pd.DataFrame, queries: pd.DataFrame, qrels: pd.DataFrame) -> None:
    """Write pairs.jsonl for sentence-transformers, rows.jsonl for FlagEmbedding, and pool.jsonl for both.

    Args:
        folder: Where to.
        corpus: `doc_id` and `text` as a model reads it.
        queries: `query_id` and `text`.
        qrels: Relevant pairs.
    """
    document = dict(zip(corpus["doc_id"], corpus["text"], strict=True))
    relevant = qrels.groupby("query_id")["doc_id"].agg(list)
    rows = [
        {"query": text, "pos": [document[doc_id] for doc_id in relevant[query_id]]}
        for query_id, text in zip(queries["query_id"], queries["text"], strict=True)
    ]
    _write(folder / "rows.jsonl", rows)
    _write(folder / "pairs.jsonl", ({"query": row["query"], "positive": text} for row in rows for text in row["pos"]))
    _write(folder / "pool.jsonl", ({"text": text} for text in corpus["text"]))


def sentence_transformers() -> Mine:
    """Mine with `mine_hard_negatives` at its defaults, which search without faiss."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    def mine(folder: Path, model_folder: Path, out: Path) -> None:
        model = SentenceTransformer(str(model_folder))
        model.max_seq_length = MAX_LENGTH
        mined = mine_hard_negatives(
            Dataset.from_list(_read(folder / "pairs.jsonl")),
            model,
            corpus=[row["text"] for row in _read(folder / "pool.jsonl")],
            range_min=FIRST,
            range_max=STOP,
            num_negatives=NEGATIVES,
            sampling_strategy="random",
        )
        mined.to_json(out)

    return mine


def flagembedding() -> Mine:
    """Mine as scripts/hn_mine.py of FlagEmbedding's repository does, which its package does not hold.

    What that script does with a candidate pool: both sides through `encode` at its batch size of 3,000, faiss'
    exact index, 64 queries a search, the documents at the ranks asked for but those that are literally the query
    or a positive, a random choice of them, and random documents of the pool where they are too few. Lengths and
    pooling are set to the model's.
    """
    import faiss
    import numpy as np
    from FlagEmbedding import FlagAutoModel

    def mine(folder: Path, model_folder: Path, out: Path) -> None:
        model = FlagAutoModel.from_finetuned(
            str(model_folder),
            model_class="encoder-only-base",
            pooling_method="mean",
            batch_size=3000,
            query_max_length=MAX_LENGTH,
            passage_max_length=MAX_LENGTH,
        )
        rows = _read(folder / "rows.jsonl")
        pool = list({row["text"] for row in _read(folder / "pool.jsonl")})
        documents = np.asarray(model.encode(pool), dtype=np.float32)
        queries = np.asarray(model.encode_queries([row["query"] for row in rows]), dtype=np.float32)
        index = faiss.IndexFlatIP(documents.shape[1])
        index.add(documents)
        found: list[list[int]] = []
        for start in range(0, len(queries), 64):
            found += index.search(queries[start : start + 64], k=STOP)[1].tolist()
        _write(out, (row | {"neg": _draw(row, ranking, pool)} for row, ranking in zip(rows, found, strict=True)))

    return mine


def _draw(row: dict[str, Any], ranking: list[int], pool: list[str]) -> list[str]:
    """Draw negatives of one row of rows.jsonl, from its ranking and then from the pool."""
    excluded = [*row["pos"], row["query"]]
    ranked = [pool[place] for place in ranking[FIRST:STOP] if place >= 0 and pool[place] not in excluded]
    negatives = random.sample(ranked, NEGATIVES) if len(ranked) > NEGATIVES else ranked
    missing = NEGATIVES - len(negatives)
    if missing:
        spare = random.sample(pool, min(len(pool), missing + len(row["pos"])))
        negatives += [text for text in spare if text not in row["pos"]][:missing]
    return negatives


def _read(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
