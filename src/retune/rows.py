"""Tables that lie in one file or in a file for each split, and what their cells hold."""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from retune.errors import InputError
from retune.reading import files_in, one_file
from retune.records import SPLITS
from retune.source import Document, Judgment, Record, text_id
from retune.tables import read_rows

TABLES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".json")
SPLIT_NAMES = {"train": "train", "dev": "dev", "val": "dev", "validation": "dev", "test": "test"}
SPLIT_FILE = re.compile(rf"({'|'.join(SPLIT_NAMES)})(?:-\d+-of-(\d+))?[-.]")
"""Starts a split's file: train.csv, train-v1.1.json, or a numbered part such as train-00000-of-00002.parquet."""


class Row(NamedTuple):
    """A table's row.

    Attributes:
        name: Of the query of a row without an id of its own: its number, after the file where there are several.
        split: What the file's name says; train if it says nothing.
    """

    name: str
    split: str
    where: str
    cells: dict[str, Any]


def split_files(raw: Path, *suffixes: str) -> list[tuple[str, Path]]:
    """Return the files to read with their splits, train first; other files of the folder are not looked at.

    They are `raw` itself, the files in it that are called after a split, or else the only file in it.

    Raises:
        InputError: No file, two for one split, or not all of its numbered parts.
    """
    if raw.is_file():
        return [("train", raw)]
    found: dict[str, dict[Path, int]] = {split: {} for split in SPLITS}
    for path in files_in(raw, *suffixes):
        if match := SPLIT_FILE.match(path.name):
            found[SPLIT_NAMES[match[1]]][path] = int(match[2] or 1)
    for split, parts in found.items():
        if any(count != len(parts) for count in parts.values()):
            names = ", ".join(str(path.relative_to(raw)) for path in parts)
            raise InputError(f"{raw}: expected one {split} file or all its numbered parts, got {names:.300}")
    files = [(split, path) for split, parts in found.items() for path in parts]
    return files or [("train", one_file(raw, *suffixes))]


def read_split_rows(raw: Path) -> Iterator[Row]:
    """Yield the rows of `split_files`."""
    files = split_files(raw, *TABLES)
    for split, path in files:
        prefix = f"{path.name.split('.')[0]}-" if len(files) > 1 else ""
        for number, (where, cells) in enumerate(read_rows(path), start=1):
            yield Row(f"{prefix}q{number}", split, where, cells)


def number_in(value: Any, where: str) -> float:
    """Return a cell's number, which CSV has as text."""
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where}: expected a number, got {value!r:.80}")
    return number


def numbers_in(value: Any, where: str) -> list[float] | None:
    """Return a cell's list of numbers, or None if it has none."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list of numbers, got {value!r:.80}")
    return [number_in(item, where) for item in value]


def titled(query_id: str | None, title: str | None, text: Any, where: str) -> Document:
    """Return a document without an id that may have a title: equal texts with other titles are other documents."""
    return Document(text_id(f"{title}\n{text}" if title else text), title or None, text, where, query_id)


def judge_ids(
    query_id: str,
    documents: tuple[Sequence[Any], Sequence[Any]],
    relevance: int,
    where: str,
    scores: Sequence[float] | None = None,
) -> Iterator[Record]:
    """Yield documents that stand with their ids in a query's own row, and their judgments.

    Args:
        query_id: The query.
        documents: Ids, and a text for each.
        relevance: Of all.
        where: File and line, for messages.
        scores: One for each text, if there are any.

    Raises:
        InputError: Ids, texts and scores are not as many.
    """
    ids, texts = documents
    if len(ids) != len(texts) or (scores is not None and len(scores) != len(texts)):
        raise InputError(
            f"{where}: expected an id (and score, if any) for each of {len(texts)} texts, got {len(ids)} ids"
            + ("" if scores is None else f" and {len(scores)} scores")
        )
    for position, (doc_id, text) in enumerate(zip(ids, texts, strict=True)):
        yield Document(doc_id, None, text, where, query_id)
        yield Judgment(query_id, doc_id, relevance, where, None if scores is None else scores[position])
