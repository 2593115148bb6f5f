"""Formats that the content of JSON files and tables gives away."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from retune.core.errors import InputError
from retune.reading.lines import read_json, read_json_lines
from retune.reading.raw_files import split_of
from retune.reading.tables import read_array_or_lines, read_rows
from retune.starting import columns
from retune.starting.found import BY_HAND, Found
from retune.starting.layouts import split_in
from retune.starting.source import Source

TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".json", ".zip")
ANY_NAME = {"flagembedding"}  # reads files of any name; the others read those that are named after a split
IN_FOLDER = {"mldr", "nemotron"}  # read files of a folder only
MAX_FILES = 40  # of a folder, are looked into
MAX_ROWS = 200
ID_MAPS = {"queries", "corpus", "relevant_docs"}


def tables(source: Source) -> dict[str, Found]:
    """Return the format of each file that has queries with their documents."""
    candidates = islice(source.ending(*TABLES).items(), MAX_FILES)
    is_alone = len(source.files) == 1
    return {name: found for name, file in candidates if (found := _of_file(file, name, is_alone=is_alone))}


def detect(source: Source, found: dict[str, Found]) -> Found:
    """Return the format of data whose files with queries are given.

    Raises:
        InputError: The files are of several formats, or it is not clear which of them to read.
    """
    read = {name: kind for name, kind in found.items() if _named_after_split(name)} or found
    read = found if next(iter(found.values())).format in ANY_NAME else read
    kinds = list(read.values())
    if any((kind.format, kind.params) != (kinds[0].format, kinds[0].params) for kind in kinds):
        described = ", ".join(f"{name} ({kind.format})" for name, kind in islice(read.items(), 3))
        raise InputError(
            f"{source.path}: expected files of one format and the same columns, found {described}; {BY_HAND}"
        )
    may_have_any_name = kinds[0].format in ANY_NAME and not any(map(split_in, read))
    if len(read) > 1 and not may_have_any_name and not all(map(_named_after_split, read)):
        raise InputError(
            f"{source.path}: expected one file, or files named after a split (train, dev, test), found "
            f"{', '.join(list(read)[:3])}; rename them, or {BY_HAND}"
        )
    if kinds[0].format in IN_FOLDER and not source.is_folder:
        raise InputError(f"{source.path}: expected a folder, as format is {kinds[0].format}; put the file into one")
    left_out = sorted(found.keys() - read.keys())
    more = f" ({', '.join(left_out)} is left out: not named after a split)" if left_out else ""
    which = f" in {', '.join(islice(read, 3))}" if source.is_folder else ""
    return Found(kinds[0].format, f"{kinds[0].reason}{which}{more}", kinds[0].params, kinds[0].shared)


def unknown(source: Source) -> Iterator[str]:
    """Yield the names of tables in which no column is recognised, with their columns; raises errors of reading."""
    for name, file in islice(source.ending(*TABLES).items(), MAX_FILES):
        if _is_json(name):
            _json(file)
        if rows := _first(file, name):
            yield f"{name} with the columns {', '.join(map(str, rows[0])) or 'of an empty object'}"


def _of_file(file: Path, name: str, *, is_alone: bool) -> Found | None:
    """Return the format of a file; one that cannot be read may be of another kind, unless it is all there is."""
    try:
        content = _json(file) if _is_json(name) else None
        rows = _first(file, name)
    except InputError:
        if is_alone:
            raise
        return None
    if found := _of_content(content, name):
        return found
    return columns.of_rows(rows, str(file), is_json_lines=name.lower().endswith(".jsonl")) if rows else None


def _is_json(name: str) -> bool:
    return name.lower().endswith(".json")


def _json(file: Path) -> Any:
    """Return the content of a JSON file; lines of JSON are refused, as readers expect them in a .jsonl file."""
    try:
        return read_json(file)
    except InputError:
        next(read_json_lines(file))  # raises its own error if this is no JSON at all
        raise InputError(f"{file}: expected one JSON value, found JSON lines; rename the file to .jsonl") from None


def _of_content(content: Any, name: str) -> Found | None:
    """Return the format of a JSON file that is an object with certain keys."""
    if not isinstance(content, dict):
        return None
    if content.keys() >= ID_MAPS:
        others = sorted(content.keys() - ID_MAPS - {"mode"})
        reason = f"it has queries, corpus, relevant_docs{''.join(f', {key}' for key in others)}"
        return Found("rag_json", reason, {"val_is_test": False}) if others else Found("llama_index", reason)
    data = content.get("data")
    first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
    if "paragraphs" in first:
        return Found("squad", "it has articles with paragraphs and questions", {}, {"split_by": "group"})
    if "pos_doc" in first:
        return Found("nemotron", "it has questions with pos_doc", {"file": name})
    return None


def _first(file: Path, name: str) -> list[dict[str, Any]]:
    """Return the first rows of a file; none if it has no rows of columns."""
    try:
        return list(islice((row for _, row in _rows(file, name)), MAX_ROWS))
    except InputError:
        if _is_json(name):
            return []  # JSON of another kind
        raise


def _rows(file: Path, name: str) -> Iterable[tuple[str, dict[str, Any]]]:
    return read_array_or_lines(file) if name.lower().endswith(".zip") else read_rows(file)


def _named_after_split(name: str) -> bool:
    """Return whether a file is called after a split: train.csv, or train_dataset.json as LlamaIndex writes it."""
    return split_of(Path(name.replace("_dataset.json", ".json"))) is not None
