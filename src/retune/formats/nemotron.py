"""Format `nemotron`: training data of NVIDIA's retriever recipes, with documents by id or inline.

`raw` is a folder, and `file` names the JSON file in it to read:

- With documents by id, the file is `{"corpus", "data"}`. `corpus` is a path, an object with a `path`, or a list of
  these. `data` is a list of records `{"question_id", "question", "corpus_id", "pos_doc", "neg_doc"}`.
- With inline documents, the file is JSON lines, an array or `{"data"}`. The records contain the texts; ids are
  optional, and `query` may replace `question`.

A corpus is a folder with Parquet files of `id` and `text`, and merlin_metadata.json. Records refer to the `corpus_id`
in this file; its `query_instruction`, if any, becomes the queries' prompt; its `passage_instruction` is not read.
Unrolled files repeat a question for each positive; `merge_queries: true` merges the repetitions.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from retune.core.errors import InputError
from retune.params.convert import Convert
from retune.reading.lines import read_json, read_json_lines, read_object
from retune.reading.raw_files import files_in, plain_or_packed
from retune.reading.source_records import Document, Judgment, Query, Record, judge
from retune.reading.tables import read_rows
from retune.reading.values import columns_in, id_in, optional_text_in

METADATA = "merlin_metadata.json"


class Params(Convert):
    """The file to read; NVIDIA's recipes write several into one folder."""

    file: Annotated[str, Field(pattern=r"^\w[\w./-]*\.jsonl?$")]  # relative to raw, such as train.json


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the file `params.file` in the folder `raw`."""
    path = plain_or_packed(raw / params.file)
    if params.file.endswith(".jsonl"):
        yield from _inline(read_json_lines(path))
        return
    content = read_json(path)
    data = content.get("data") if isinstance(content, dict) else content
    if isinstance(content, dict) and "corpus" in content:
        prompts: dict[str, str | None] = {}
        for folder in _corpus_folders(content["corpus"], path, raw):
            where = str(folder / METADATA)
            metadata = read_object(folder / METADATA)
            prompt = optional_text_in(metadata, "query_instruction", where)
            prompts[id_in(metadata, "corpus_id", where)] = prompt
            yield from _documents(folder)
        yield from _by_id(_objects(data, path), prompts)
    else:
        yield from _inline(_objects(data, path))


def _corpus_folders(corpus: Any, path: Path, raw: Path) -> Iterator[Path]:
    """Yield the corpus folders that a file names by paths relative to itself."""
    for entry in corpus if isinstance(corpus, list) else [corpus]:
        name = entry.get("path") if isinstance(entry, dict) else entry
        if not isinstance(name, str) or not name:
            raise InputError(
                f"{path}: corpus: expected a path, an object with a path or a list of these, got {entry!r:.80}"
            )
        folder = Path(os.path.normpath(path.parent / name))
        if not folder.is_relative_to(os.path.normpath(raw)):
            raise InputError(f"{path}: corpus: expected a folder inside {raw}, which DVC tracks, got {name!r}; move it")
        yield folder


def _documents(folder: Path) -> Iterator[Record]:
    files = files_in(folder, ".parquet", ".jsonl")
    if not files:
        raise InputError(f"{folder}: expected documents as .parquet or .jsonl, found none; put them there")
    for path in files:
        for where, row in read_rows(path):
            columns_in(row, ["id", "text"], where)
            yield Document(row["id"], row.get("title"), row["text"], where)


def _objects(data: Any, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(data, list):
        raise InputError(f"{path}: expected a list of records, or one at the key data, got {type(data).__name__}")
    for position, row in enumerate(data):
        if not isinstance(row, dict):
            raise InputError(f"{path}: data.{position}: expected a JSON object, got {type(row).__name__}")
        yield f"{path}: data.{position}", row


def _by_id(rows: Iterable[tuple[str, dict[str, Any]]], prompts: dict[str, str | None]) -> Iterator[Record]:
    """Yield the records whose documents are given by id."""
    for where, row in rows:
        corpus_id = id_in(row, "corpus_id", where)
        if corpus_id not in prompts:
            raise InputError(f"{where}: corpus_id: expected {' or '.join(map(repr, prompts))}, got {corpus_id!r}")
        query_id = row.get("question_id")
        yield Query(query_id, row.get("question"), where, prompt=prompts[corpus_id])
        for key, relevance in (("pos_doc", 1), ("neg_doc", 0)):
            for entry in _entries(row, key, where):
                yield Judgment(query_id, entry.get("id") if isinstance(entry, dict) else entry, relevance, where)


def _inline(rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[Record]:
    """Yield the records that contain the texts of their documents."""
    for number, (where, row) in enumerate(rows, start=1):
        query_id = row.get("question_id", f"q{number}")
        yield Query(query_id, row["query"] if "query" in row else row.get("question"), where)
        for key, relevance in (("pos_doc", 1), ("neg_doc", 0)):
            entries = _entries(row, key, where)
            texts = [entry.get("text") if isinstance(entry, dict) else entry for entry in entries]
            yield from judge(query_id, texts, relevance, where)


def _entries(row: dict[str, Any], key: str, where: str) -> list[Any]:
    """Return the documents at a key of a record as a list, even if there is only one."""
    columns_in(row, [key], where)
    value = row[key]
    return value if isinstance(value, list) else [] if value is None else [value]
