"""Format `sentence_transformers`: tables as sentence-transformers trains on them, where the order of columns counts.

`raw` is a .jsonl, .json, .csv, .tsv or .parquet file, or a folder with one for each split (train, dev or validation,
test). The first column is the query, the second its positive, all others are negatives, whatever their names; null is
no negative. A column named label, labels, score or scores makes the rows

- scored pairs, if it holds a number: `relevant_from` says which are relevant;
- labelled lists, if it holds a list and so does the second column: the same for each document;
- tuples with scores, if it holds a list and the others texts: the scores of positive and negatives, in order.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from retune.core.errors import InputError
from retune.params.convert import Convert
from retune.reading.source_records import Dropped, Query, Record, judge
from retune.reading.tables import Row, read_split_rows, unread_tables
from retune.reading.values import number_in, numbers_in, shown, text_in

LABELS = ("label", "labels", "score", "scores")


class Params(Convert):
    """Adds what a label means."""

    relevant_from: float | None = None  # of scored pairs and labelled lists: a label this high means relevant


class Columns(NamedTuple):
    """A table's columns by what they hold."""

    query: str
    documents: list[str]
    label: str | None


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the file or folder `raw`."""
    yield unread_tables(raw)
    query_ids: dict[tuple[str, str], str] = {}
    columns_by_split: dict[str, Columns] = {}
    for row in read_split_rows(raw):
        if row.split not in columns_by_split:
            columns_by_split[row.split] = _columns(row)
        columns = columns_by_split[row.split]
        _check_columns(row, columns, params)
        text = text_in(row.values, columns.query, row.where)
        # Labels give a query a row for each document; without them two rows are two queries.
        query_id = query_ids.setdefault((row.split, text), row.name) if params.relevant_from is not None else row.name
        if query_id == row.name:
            yield Query(query_id, text, row.where, row.split)
        if params.relevant_from is None:
            yield from _tuple(row, columns, query_id)
        else:
            yield from _labelled(row, columns, query_id, params.relevant_from)


def _columns(row: Row) -> Columns:
    """Tell the columns of a split by its first row."""
    names = [name for name in row.values if name not in LABELS]
    labels = [name for name in row.values if name in LABELS]
    if len(names) < 2 or len(labels) > 1:
        found = ", ".join(map(shown, row.values))
        raise InputError(f"{row.where}: expected query, positive and at most one label, got {found:.200}")
    return Columns(names[0], names[1:], labels[0] if labels else None)


def _check_columns(row: Row, columns: Columns, params: Params) -> None:
    """Refuse a row with other columns than the first, or a label where another kind of row was announced."""
    known = [columns.query, *columns.documents, *([columns.label] if columns.label else [])]
    if unknown := [name for name in row.values if name not in known]:
        first = ", ".join(map(shown, known))
        raise InputError(f"{row.where}: expected the first row's columns {first:.200}, got {unknown[0]!r:.80} too")
    is_tuple = columns.label is None or (
        isinstance(row.values.get(columns.label), list) and not isinstance(row.values.get(columns.documents[0]), list)
    )
    if is_tuple and params.relevant_from is not None:
        raise InputError(f"{row.where}: expected a label for each document, got none; write relevant_from: null")
    if not is_tuple and params.relevant_from is None:
        raise InputError(f"{row.where}: {columns.label}: expected relevant_from to say which labels mean relevant")


def _tuple(row: Row, columns: Columns, query_id: str) -> Iterator[Record]:
    """Yield the documents of a pair, triplet or longer tuple, with their scores if there are any."""
    place = f"{row.where}: {columns.label}"
    scores = numbers_in(row.values.get(columns.label), place) if columns.label else None
    if scores is not None and len(scores) != len(columns.documents):
        raise InputError(f"{place}: expected a score for each of {len(columns.documents)} texts, got {len(scores)}")
    for position, name in enumerate(columns.documents):
        text: Any = row.values.get(name)
        if position and text is None:
            continue
        if position and text == "":  # what CSV has for null
            yield Dropped("empty negative")
            continue
        score = None if scores is None else scores[position : position + 1]
        yield from judge(query_id, [text], int(position == 0), f"{row.where}: {shown(name)}", score)


def _labelled(row: Row, columns: Columns, query_id: str, relevant_from: float) -> Iterator[Record]:
    """Yield the document, or list of documents, of a row with labels."""
    documents, label = row.values.get(columns.documents[0]), row.values.get(columns.label or "")
    if len(columns.documents) > 1:
        raise InputError(f"{row.where}: expected one column of documents beside {columns.label}, got a number for many")
    place = f"{row.where}: {columns.label}"
    texts = documents if isinstance(documents, list) else [documents]
    labels = numbers_in(label, place) if isinstance(label, list) else [number_in(label, place)]
    if labels is None or len(labels) != len(texts):
        raise InputError(f"{place}: expected a label for each of {len(texts)} documents, got {label!r:.80}")
    where = f"{row.where}: {shown(columns.documents[0])}"
    for text, value in zip(texts, labels, strict=True):
        yield from judge(query_id, [text], int(value >= relevant_from), where, [value])
