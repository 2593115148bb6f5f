"""Format `table`: any table of queries and documents; the parameters name its columns.

`raw` is a .csv, .tsv, .parquet, .jsonl or .json file (an array of objects, or an object of objects), or a folder with
one such file per split (train, dev or validation, test). A column of documents contains texts, lists of texts, or
objects that map ids to texts. Rows with the same query id are merged into one query; with `relevant_from` and without
query ids, so are rows with the same query text.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from retune.core.errors import InputError
from retune.params.convert import Convert
from retune.reading.raw_files import SPLIT_NAMES, split_named
from retune.reading.source_records import Dropped, Query, Record, judge, judge_ids
from retune.reading.tables import TableRow, read_split_rows, unread_tables
from retune.reading.values import as_id, columns_in, number_in, texts_in


class Params(Convert):
    """The names of the columns; a parameter is absent if the table has no such column."""

    query: str
    query_id: str | None = None
    positive: str
    positive_id: str | None = None
    negatives: list[str] = []
    score: str | None = None  # the positive's score
    relevant_from: float | None = None  # lowest score that means relevant; null: every positive is relevant
    answer: str | None = None
    prompt: str | None = None
    group: str | None = None
    split: str | None = None  # contains train, dev, val, valid, validation or test; null: the file's name decides

    @model_validator(mode="after")
    def _threshold_is_of_scores(self) -> Self:
        if self.relevant_from is not None and self.score is None:
            raise ValueError(f"relevant_from: expected null without a column score, got {self.relevant_from}")
        return self

    def columns(self) -> list[str]:
        """Return all columns that the parameters name."""
        single = [self.query, self.query_id, self.positive, self.positive_id, self.score]
        single += [self.answer, self.prompt, self.group, self.split]
        return [name for name in (*single, *self.negatives) if name is not None]


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the file or folder `raw`."""
    yield unread_tables(raw)
    known: dict[str, Query] = {}
    for row in read_split_rows(raw):
        columns_in(row.values, params.columns(), row.where)
        query = _query(row, params)
        content = query._replace(query_id="", where="")
        by_text = params.query_id is None and params.relevant_from is not None
        first = known.setdefault(repr(content if by_text else query.query_id), query)
        if first is query or first._replace(query_id="", where="") != content:
            yield query  # if an id has two texts, the check of ids reports it
        yield from _documents(row, first.query_id, params)


def _query(row: TableRow, params: Params) -> Query:
    split = row.split
    if params.split is not None:
        value = row.values[params.split]
        named = split_named(value)
        if named is None:
            raise InputError(
                f"{row.where}: {params.split}: expected one of {', '.join(SPLIT_NAMES)}, got {value!r:.80}"
            )
        split = named
    query_id = row.name if params.query_id is None else as_id(row.values[params.query_id])
    prompt, answer, group = (_optional(row, name) for name in (params.prompt, params.answer, params.group))
    return Query(
        query_id,
        row.values[params.query],
        row.where,
        split,
        prompt,
        answer,
        None if group is None else str(group),
    )


def _optional(row: TableRow, name: str | None) -> Any:
    """Return the value in a column, or None if it is missing: "" in CSV, NaN in JSON written by pandas."""
    value = None if name is None else row.values[name]
    return None if value == "" or value != value else value


def _documents(row: TableRow, query_id: str, params: Params) -> Iterator[Record]:
    """Yield the documents of a row and their judgments."""
    scores, relevance = None, 1
    if params.score is not None:
        scores = [number_in(row.values[params.score], f"{row.where}: {params.score}")]
        relevance = int(params.relevant_from is None or scores[0] >= params.relevant_from)
    ids = None if params.positive_id is None else row.values[params.positive_id]
    yield from _judged(row, query_id, params.positive, relevance, ids, scores)
    for name in params.negatives:
        if row.values[name] == "":
            yield Dropped("empty negative")
        else:
            yield from _judged(row, query_id, name, 0)


def _judged(
    row: TableRow, query_id: str, column: str, relevance: int, ids: Any = None, scores: list[float] | None = None
) -> Iterator[Record]:
    """Yield the documents in one column of a row and their judgments; `ids` and `scores` as in `judge_ids`."""
    value, place = row.values[column], f"{row.where}: {column}"
    if isinstance(value, dict) and ids is not None:
        raise InputError(f"{place}: expected texts because positive_id names their ids, got an object with ids")
    if isinstance(value, dict):
        yield from judge_ids(query_id, list(value), list(value.values()), relevance, place, scores)
    elif ids is not None:
        yield from judge_ids(query_id, texts_in(ids, place), texts_in(value, place), relevance, place, scores)
    else:
        yield from judge(query_id, texts_in(value, place), relevance, place, scores)
