"""Format `open_retrievals`: rows of a query and documents, under keys that the user names, as in open-retrievals.

`raw` is a .jsonl, .json, .csv, .tsv or .parquet file, or a folder with one such file per split (train, dev or
validation, test). A row has a query with positives and optionally negatives, or a query, a document and a label.
Documents are a text, a list of texts, or a list of `{"title", "text"}`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from retune.core.errors import InputError
from retune.params.convert import Convert
from retune.reading.source_records import Judgment, Query, Record, titled
from retune.reading.tables import TableRow, read_split_rows, unread_tables
from retune.reading.values import columns_in, number_in, optional_text_in, texts_in


class Params(Convert):
    """The keys of pairs and triplets, or those of scored rows."""

    query_key: str
    positive_key: str | None = None
    negative_key: str | None = None
    document_key: str | None = None  # in scored rows
    label_key: str | None = None  # in scored rows
    relevant_from: float | None = None  # lowest label that means relevant, in scored rows

    @model_validator(mode="after")
    def _one_kind_of_row(self) -> Self:
        scored = [self.document_key, self.label_key, self.relevant_from]
        if None in scored if self.positive_key is None else scored != [None] * 3:
            raise ValueError(
                "expected positive_key, or all of document_key, label_key and relevant_from, and null for the others"
            )
        if self.positive_key is None and self.negative_key is not None:
            raise ValueError(f"negative_key: expected null without positive_key, got {self.negative_key!r}")
        return self


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the file or folder `raw`."""
    yield unread_tables(raw)
    query_ids: dict[tuple[str, str], str] = {}
    for row in read_split_rows(raw):
        if params.positive_key is not None:
            yield from _positives(row, params)
            continue
        columns_in(row.values, [params.query_key], row.where)
        text = optional_text_in(row.values, params.query_key, row.where) or ""
        query_id = query_ids.setdefault((row.split, text), row.name)  # one row per document
        if query_id == row.name:
            yield Query(query_id, text, row.where, row.split)
        label = number_in(row.values.get(str(params.label_key)), f"{row.where}: {params.label_key}")
        relevance = int(params.relevant_from is not None and label >= params.relevant_from)
        yield from _judged(row, query_id, str(params.document_key), relevance, label)


def _positives(row: TableRow, params: Params) -> Iterator[Record]:
    """Yield the query of a pair or triplet and its judged documents."""
    columns_in(row.values, [params.query_key], row.where)
    yield Query(row.name, row.values[params.query_key], row.where, row.split)
    for key, relevance in ((params.positive_key, 1), (params.negative_key, 0)):
        if key is not None:
            yield from _judged(row, row.name, key, relevance, None)


def _judged(row: TableRow, query_id: str, key: str, relevance: int, score: float | None) -> Iterator[Record]:
    """Yield the documents at a key and their judgments."""
    columns_in(row.values, [key], row.where)
    value: Any = row.values[key]
    for item in [value] if isinstance(value, dict) else texts_in(value, f"{row.where}: {key}"):
        if isinstance(item, dict) and "text" not in item:
            raise InputError(f"{row.where}: {key}: expected a text or an object with text, got {item!r:.80}")
        title, text = (item.get("title"), item["text"]) if isinstance(item, dict) else (None, item)
        document = titled(query_id, title, text, f"{row.where}: {key}")
        yield document
        yield Judgment(query_id, document.doc_id, relevance, row.where, score)
