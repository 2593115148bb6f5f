"""Format `sentence_transformers`: training tables of sentence-transformers, where the order of columns matters.

`raw` is a .jsonl, .json, .csv, .tsv or .parquet file, or a folder with one such file per split (train, dev or
validation, test). The first column is the query, the second its positive, and all others are negatives; null means no
negative. Names that contradict this order are refused, and so are an index and ids. An additional column named label,
labels, score or scores makes the rows

- scored pairs, if it contains a number: pairs with a label of at least `relevant_from` are relevant;
- labelled lists, if it and the second column contain lists: one label per document, with the same meaning;
- tuples with scores, if it contains a list and the others texts: the scores of the positive and the negatives, in
  order.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from retune.core.errors import InputError
from retune.params.convert import Convert
from retune.reading.column_names import check_texts_by_position, role_of
from retune.reading.source_records import Dropped, Query, Record, judge
from retune.reading.tables import TableRow, read_split_rows, unread_tables
from retune.reading.values import number_in, numbers_in, optional_text_in, shown


class Params(Convert):
    """The meaning of labels."""

    relevant_from: float | None = None  # lowest label that means relevant, for scored pairs and labelled lists


class Columns(NamedTuple):
    """The columns of a table by their roles."""

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
        text = optional_text_in(row.values, columns.query, row.where) or ""
        # With labels, a query has one row per document; without them, every row is a query.
        query_id = query_ids.setdefault((row.split, text), row.name) if params.relevant_from is not None else row.name
        if query_id == row.name:
            yield Query(query_id, text, row.where, row.split)
        if params.relevant_from is None:
            yield from _tuple(row, columns, query_id)
        else:
            yield from _labelled(row, columns, query_id, params.relevant_from)


def _columns(row: TableRow) -> Columns:
    """Determine the columns of a split from its first row."""
    labels = [name for name in row.values if role_of(name) == "label"]
    names = [name for name in row.values if name not in labels]
    check_texts_by_position(names, row.where)
    if len(names) < 2 or len(labels) > 1:
        found = ", ".join(map(shown, row.values))
        raise InputError(f"{row.where}: expected query, positive and at most one label, got {found:.200}")
    return Columns(names[0], names[1:], labels[0] if labels else None)


def _check_columns(row: TableRow, columns: Columns, params: Params) -> None:
    """Check that a row has no other columns than the first row, and that labels and `relevant_from` agree."""
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
        raise InputError(
            f"{row.where}: {columns.label}: expected relevant_from, the lowest label that means relevant, got null"
        )


def _tuple(row: TableRow, columns: Columns, query_id: str) -> Iterator[Record]:
    """Yield the documents of a pair, triplet or longer tuple, and their scores if there are any."""
    place = f"{row.where}: {columns.label}"
    scores = numbers_in(row.values.get(columns.label), place) if columns.label else None
    if scores is not None and len(scores) != len(columns.documents):
        raise InputError(f"{place}: expected a score for each of {len(columns.documents)} texts, got {len(scores)}")
    for position, name in enumerate(columns.documents):
        text: Any = row.values.get(name)
        if position and text is None:
            continue
        if position and text == "":  # null in CSV
            yield Dropped("empty negative")
            continue
        score = None if scores is None else scores[position : position + 1]
        yield from judge(query_id, [text], int(position == 0), f"{row.where}: {shown(name)}", score)


def _labelled(row: TableRow, columns: Columns, query_id: str, relevant_from: float) -> Iterator[Record]:
    """Yield the document or documents of a row with labels."""
    documents, label = row.values.get(columns.documents[0]), row.values.get(columns.label or "")
    if len(columns.documents) > 1:
        count = len(columns.documents)
        raise InputError(f"{row.where}: expected one column of documents besides {columns.label}, got {count}")
    place = f"{row.where}: {columns.label}"
    texts = documents if isinstance(documents, list) else [documents]
    labels = numbers_in(label, place) if isinstance(label, list) else [number_in(label, place)]
    if labels is None or len(labels) != len(texts):
        raise InputError(f"{place}: expected a label for each of {len(texts)} documents, got {label!r:.80}")
    where = f"{row.where}: {shown(columns.documents[0])}"
    for text, value in zip(texts, labels, strict=True):
        yield from judge(query_id, [text], int(value >= relevant_from), where, [value])
