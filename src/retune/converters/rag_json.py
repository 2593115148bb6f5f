"""Format `rag_json`: one JSON file with queries, corpus and judgments.

Its keys are `queries`, `corpus`, `relevant_docs` and, where they exist, `negative_docs`, `reference_answers` and
`queries_split`. `queries` and `corpus` map ids to texts, `relevant_docs` and `negative_docs` query ids to lists of
document ids, `queries_split` the names train, val (or dev) and test to lists of query ids. Negatives become judged
irrelevant. Queries outside `queries_split` are train queries.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retune.errors import InputError
from retune.params.convert import Convert
from retune.rag import ids_in, load, mapping, read_content
from retune.reading import one_file
from retune.source import Dropped, Record

SPLIT_NAMES = {"train": "train", "val": "dev", "dev": "dev", "test": "test"}


class Params(Convert):
    """Adds where the file's `val` queries go: the reference for this format evaluates on them."""

    val_is_test: bool


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the file `raw`."""
    path = one_file(raw, ".json")
    content = load(path)
    splits = _splits(content, path, SPLIT_NAMES | ({"val": "test"} if params.val_is_test else {}))
    yield from read_content(content, path, splits)
    yield Dropped("unknown query in queries_split", len(splits.keys() - mapping(content, "queries", path).keys()))


def _splits(content: dict[str, Any], path: Path, names: dict[str, str]) -> dict[str, str]:
    splits: dict[str, str] = {}
    for name, query_ids in mapping(content, "queries_split", path).items():
        if name not in names:
            raise InputError(f"{path}: queries_split: expected {', '.join(names)}, got {name!r}")
        for query_id in ids_in(query_ids, f"{path}: queries_split.{name}"):
            if splits.setdefault(query_id, names[name]) != names[name]:
                raise InputError(f"{path}: queries_split: expected {query_id!r} in one split, got it in two")
    return splits
