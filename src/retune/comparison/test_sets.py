"""The texts and judgments behind a comparison: test queries, relevant documents, and documents trained on."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from retune.core.errors import InputError
from retune.core.records import document_texts, read_split

CUT = 400  # characters shown of a text
BATCH_ROWS = 65_536


@dataclass(frozen=True)
class JudgedQueries:
    """The compared queries of a data set's test split, in their order.

    Attributes:
        folder: The data set's folder.
        queries: Text by query id.
        relevant: Their relevant documents: `query_id`, `doc_id`.
        trained_on: Documents that are relevant to a train query of the same data set.
    """

    folder: Path
    queries: "pd.Series[str]"
    relevant: pd.DataFrame
    trained_on: frozenset[str]


def read_judged_queries(folder: Path, query_ids: pd.Index) -> JudgedQueries:
    """Read the texts and relevant documents of the compared queries, in their order.

    Raises:
        InputError: The test split lacks one of the queries.
    """
    test, train = read_split(folder, "test"), read_split(folder, "train")
    texts = test.queries.set_index("query_id")["text"]
    if len(unknown := query_ids.difference(texts.index)):
        raise InputError(
            f"{folder}/test: expected the queries that models were evaluated on, got no {unknown[0]!r} "
            f"and {len(unknown) - 1} more; run dvc repro eval"
        )
    relevant = test.qrels[(test.qrels["relevance"] > 0) & test.qrels["query_id"].isin(query_ids)]
    return JudgedQueries(
        folder,
        texts.loc[query_ids],
        relevant[["query_id", "doc_id"]].reset_index(drop=True),
        frozenset(train.qrels.loc[train.qrels["relevance"] > 0, "doc_id"]),
    )


def read_documents(folder: Path, doc_ids: Collection[str]) -> pd.DataFrame:
    """Read some documents of a corpus, one batch at a time.

    Returns:
        By `doc_id`: `characters`, the length, and `text`, cut to 400 characters.

    Raises:
        InputError: There is no corpus, or it lacks a document.
    """
    path, wanted = folder / "corpus.parquet", pd.Index(sorted(set(doc_ids)))
    if not path.is_file():
        raise InputError(f"{path}: expected a corpus, found none; run the stage that writes it")
    parts = [pd.DataFrame({"characters": pd.Series(dtype=int), "text": pd.Series(dtype=str)}, index=wanted[:0])]
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            rows = batch.to_pandas()
            rows = rows[rows["doc_id"].isin(wanted)]
            texts = document_texts(rows)
            found = {"characters": [len(text) for text in texts], "text": [cut(text) for text in texts]}
            parts.append(pd.DataFrame(found, index=pd.Index(rows["doc_id"])))
    documents = pd.concat(parts)
    if len(missing := wanted.difference(documents.index)):
        raise InputError(
            f"{path}: expected all documents that models found or should have found, got no {missing[0]!r} "
            f"and {len(missing) - 1} more; run dvc repro eval"
        )
    return documents


def cut(text: str) -> str:
    """Return a short text unchanged, and the beginning of a long one with an ellipsis."""
    return text if len(text) <= CUT else text[: CUT - 1].rstrip() + "…"
