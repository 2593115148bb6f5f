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
from retune.reading import one_file, read_json
from retune.source import Document, Dropped, Judgment, Query, Record

SPLIT_NAMES = {"train": "train", "val": "dev", "dev": "dev", "test": "test"}


class Params(Convert):
    """Adds where the file's `val` queries go: the reference for this format evaluates on them."""

    val_is_test: bool


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the file `raw`."""
    path = one_file(raw, ".json")
    names = SPLIT_NAMES | ({"val": "test"} if params.val_is_test else {})
    yield from read_content(load(path), path, names)


def load(path: Path) -> dict[str, Any]:
    """Return the file's content: an object with at least queries, corpus and relevant_docs."""
    content = read_json(path)
    for key in ("queries", "corpus", "relevant_docs"):
        if not isinstance(content, dict) or key not in content:
            raise InputError(f"{path}: expected an object with queries, corpus and relevant_docs, got none at {key!r}")
    return dict(content)


def read_content(content: dict[str, Any], path: Path, names: dict[str, str]) -> Iterator[Record]:
    """Yield the records of a file's content, its splits taken by `names`."""
    splits = _splits(content, path, names)
    corpus, queries = mapping(content, "corpus", path), mapping(content, "queries", path)
    answers = mapping(content, "reference_answers", path)
    for doc_id, text in corpus.items():
        yield Document(doc_id, None, text, f"{path}: corpus.{doc_id}")
    for query_id, text in queries.items():
        where, split = f"{path}: queries.{query_id}", splits.get(query_id, "train")
        yield Query(query_id, text, where, split, None, answers.get(query_id))
    for key, relevance in (("relevant_docs", 1), ("negative_docs", 0)):
        for query_id, doc_ids in mapping(content, key, path).items():
            where = f"{path}: {key}.{query_id}"
            for doc_id in _ids(doc_ids, where):
                yield Judgment(query_id, doc_id, relevance, where)
    yield Dropped("unknown query in queries_split", len(splits.keys() - queries.keys()))


def mapping(content: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    """Return the object at a key, empty where there is none."""
    value = content.get(key, {})
    if not isinstance(value, dict):
        raise InputError(f"{path}: {key}: expected an object, got {type(value).__name__}")
    return value


def _splits(content: dict[str, Any], path: Path, names: dict[str, str]) -> dict[str, str]:
    splits: dict[str, str] = {}
    for name, query_ids in mapping(content, "queries_split", path).items():
        if name not in names:
            raise InputError(f"{path}: queries_split: expected {', '.join(names)}, got {name!r}")
        for query_id in _ids(query_ids, f"{path}: queries_split.{name}"):
            if splits.setdefault(query_id, names[name]) != names[name]:
                raise InputError(f"{path}: queries_split: expected {query_id!r} in one split, got it in two")
    return splits


def _ids(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"{where}: expected a list of ids as strings, got {value!r:.80}")
    return value
