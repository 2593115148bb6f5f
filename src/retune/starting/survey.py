"""Count what a format's reader finds in some data, so that the entry fits it."""

import importlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from retune.core.errors import InputError
from retune.core.records import SPLITS
from retune.datasets.convert import parse_params
from retune.params.convert import Convert
from retune.reading.raw_files import split_named
from retune.reading.source_records import Document, Judgment, Query, Record, is_blank
from retune.starting.source import Source
from retune.text.language import SAMPLE, languages

MAX_SECONDS = 5.0
CHECKED_EVERY = 1000  # records


@dataclass
class Survey:
    """What is in some data.

    Attributes:
        documents: Number of distinct documents.
        characters: Characters of a document, on average.
        queries: Number of queries with a relevant document in each split.
        query_characters: Characters of a query, on average.
        languages: Shares of the most common languages.
        unusable: Share of queries or of documents that conversion has to leave out.
        is_whole: Whether all was read; otherwise the numbers are lower bounds, and splits are also known by file names.
    """

    documents: int = 0
    characters: float = 0.0
    queries: dict[str, int] = field(default_factory=dict)
    query_characters: float = 0.0
    languages: dict[str, float] = field(default_factory=dict)
    unusable: float = 0.0
    is_whole: bool = True

    def describe(self) -> str:
        """Return the counts in words."""
        if self.is_whole:
            queries = ", ".join(f"{number:,} {split}" for split, number in self.queries.items()) or "no"
            return f"{self.documents:,} documents, {queries} queries"
        return f"more than {self.documents:,} documents, queries for {', '.join(self.queries) or 'no split'}"

    def cut(self, entry: Convert) -> dict[str, float]:
        """Return about how many queries each split has after conversion."""
        queries = dict.fromkeys(SPLITS, 0.0) | self.queries
        if entry.assign_all_to:
            return dict.fromkeys(SPLITS, 0.0) | {entry.assign_all_to: sum(queries.values())}
        train = queries["train"]
        for split, share in (("dev", entry.dev), ("test", entry.test)):
            if isinstance(share, float):
                queries[split] = share * train
                queries["train"] -= share * train
        return queries


def survey(source: Source, entry: dict[str, Any], defaults: dict[str, Any], where: str) -> Survey:
    """Read the data for some seconds with its format's reader.

    Args:
        source: The data.
        entry: The `convert` entry, whose format reads it; the shares of the splits do not matter yet.
        defaults: What completes it.
        where: The key of the entry, for messages.

    Raises:
        InputError: The format's reader refuses the data, or finds no document.
    """
    params = parse_params(where, entry, defaults)
    tally = _Tally()
    try:
        tally.add(_records(source, params))
    except OSError as error:
        raise InputError(f"{error.filename or source.path}: expected a readable file, got: {error.strerror}") from None
    counted = tally.survey(source)
    if not counted.documents:
        raise InputError(f"{source.path}: expected documents with text, found none; put them there")
    return counted


def _records(source: Source, params: Convert) -> Iterator[Record]:
    reader: Iterator[Record] = importlib.import_module(f"retune.formats.{params.format}").read(source.path, params)
    return reader


class _Tally:
    """Counts records as they come."""

    def __init__(self) -> None:
        self._documents: dict[str, int] = {}  # id: characters
        self._queries: dict[str, Query] = {}
        self._answered: set[str] = set()
        self._texts: list[str] = []
        self._blank: Counter[type] = Counter()
        self._is_whole = True

    def add(self, records: Iterator[Record]) -> None:
        """Count records until there are no more, or time is up."""
        end = time.monotonic() + MAX_SECONDS
        for number, record in enumerate(records, start=1):
            self._count(record)
            if number % CHECKED_EVERY == 0 and time.monotonic() > end:
                self._is_whole = False
                return

    def _count(self, record: Record) -> None:
        match record:
            case Document() | Query() if is_blank(record.text) and is_blank(getattr(record, "title", None)):
                self._blank[type(record)] += 1
            case Document():
                self._documents[str(record.doc_id)] = len(str(record.text))
                if len(self._texts) < SAMPLE:
                    self._texts.append(str(record.text))
            case Query():
                self._queries[str(record.query_id)] = record
            case Judgment() if _is_relevant(record):
                self._answered.add(str(record.query_id))

    def survey(self, source: Source) -> Survey:
        """Return what was counted."""
        answered = [query for key, query in self._queries.items() if key in self._answered]
        queries = Counter(query.split for query in answered)
        if not self._is_whole:
            queries.update(dict.fromkeys(_splits_by_name(source) - queries.keys(), 1))
        lengths = [len(str(query.text)) for query in answered]
        shares = [
            (len(self._queries) - len(answered) + self._blank[Query], len(self._queries) + self._blank[Query]),
            (self._blank[Document], len(self._documents) + self._blank[Document]),
        ]
        return Survey(
            documents=len(self._documents),
            characters=sum(self._documents.values()) / max(1, len(self._documents)),
            queries={split: queries[split] for split in SPLITS if queries[split]},
            query_characters=sum(lengths) / max(1, len(lengths)),
            languages=languages(self._texts),
            unusable=max(left_out / max(1, total) for left_out, total in shares) if self._is_whole else 0.0,
            is_whole=self._is_whole,
        )


def _is_relevant(judgment: Judgment) -> bool:
    return isinstance(judgment.relevance, int | float) and judgment.relevance > 0


def _splits_by_name(source: Source) -> set[str]:
    """Return the splits that the names of files mention."""
    words = {word for name in source.names for word in re.split(r"[^a-z]+", name.lower())}
    return {split for word in words if (split := split_named(word))}
