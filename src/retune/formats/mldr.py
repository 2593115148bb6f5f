"""Format `mldr`: JSON lines of queries with their passages, as in MLDR and Tevatron.

`raw` is a folder with any of train.jsonl.gz, dev.jsonl.gz and test.jsonl.gz, and optionally corpus.jsonl.gz; plain
.jsonl works as well. Queries are `{"query_id", "query", "positive_passages", "negative_passages"}`, passages and
documents are `{"docid", "title", "text"}`; the title and both lists may be null or absent. The passages of all splits
are added to the corpus, as the corpus file lacks some of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retune.core.errors import InputError
from retune.core.records import SPLITS
from retune.params.convert import Convert
from retune.reading.lines import read_json_lines
from retune.reading.raw_files import split_file
from retune.reading.source_records import Document, Dropped, Judgment, Query, Record

NAMES = ("{split}.jsonl",)


class Params(Convert):
    """Whether negative passages, which are always part of the corpus, are judged irrelevant."""

    negatives: bool


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the folder `raw`, reading each file once."""
    files = {name: split_file(raw, name, *NAMES) for name in ("corpus", *SPLITS)}
    if not any(files.values()):
        raise InputError(
            f"{raw}: expected corpus, train, dev or test as .jsonl.gz or .jsonl, found none; put them there"
        )
    for name, path in files.items():
        for where, row in read_json_lines(path) if path else ():
            if name == "corpus":
                yield _document(row, where)
            else:
                yield Query(row.get("query_id"), row.get("query"), where, name)
                yield from _passages(row, "positive_passages", where, relevance=1)
                yield from _passages(row, "negative_passages", where, relevance=0 if params.negatives else None)


def _document(row: dict[str, Any], where: str) -> Document:
    return Document(row.get("docid"), row.get("title"), row.get("text"), where)


def _passages(row: dict[str, Any], key: str, where: str, *, relevance: int | None) -> Iterator[Record]:
    """Yield the passages at a key as documents, and their judgments unless `relevance` is None."""
    passages = [] if row.get(key) is None else row[key]
    if not isinstance(passages, list) or not all(isinstance(passage, dict) for passage in passages):
        raise InputError(f"{where}: {key}: expected a list of objects or null, got {passages!r:.80}")
    for passage in passages:
        yield _document(passage, where)
        if relevance is None:
            yield Dropped("negative not judged")
        else:
            yield Judgment(row.get("query_id"), passage.get("docid"), relevance, where)
