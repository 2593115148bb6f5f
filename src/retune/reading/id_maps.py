"""Read JSON files that map ids to queries, documents and judgments, as RAG toolkits write them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from retune.core.errors import InputError
from retune.reading.lines import read_object
from retune.reading.source_records import Document, Judgment, Query, Record
from retune.reading.values import as_id, shown


def load(path: Path) -> dict[str, Any]:
    """Return the file's content: an object with at least the keys queries, corpus and relevant_docs."""
    content = read_object(path)
    for key in ("queries", "corpus", "relevant_docs"):
        if key not in content:
            raise InputError(f"{path}: expected an object with queries, corpus and relevant_docs, got none at {key!r}")
    return content


def read_content(
    content: dict[str, Any], path: Path, splits: Mapping[str, str], *, default_split: str = "train"
) -> Iterator[Record]:
    """Yield the records of a file's content.

    Args:
        content: The content, as returned by `load`.
        path: The file, for messages.
        splits: The split of each query, by query id.
        default_split: The split of queries that are not in `splits`.
    """
    corpus, queries = mapping(content, "corpus", path), mapping(content, "queries", path)
    answers = mapping(content, "reference_answers", path)
    for doc_id, text in corpus.items():
        yield Document(doc_id, None, text, f"{path}: corpus.{shown(doc_id)}")
    for query_id, text in queries.items():
        where, split = f"{path}: queries.{shown(query_id)}", splits.get(query_id, default_split)
        yield Query(query_id, text, where, split, None, answers.get(query_id))
    for key, relevance in (("relevant_docs", 1), ("negative_docs", 0)):
        for query_id, doc_ids in mapping(content, key, path).items():
            where = f"{path}: {key}.{shown(query_id)}"
            for doc_id in ids_in(doc_ids, where):
                yield Judgment(query_id, doc_id, relevance, where)


def mapping(content: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    """Return the object at a key, or an empty one if the key is absent."""
    value = content.get(key, {})
    if not isinstance(value, dict):
        raise InputError(f"{path}: {key}: expected an object, got {type(value).__name__}")
    return value


def ids_in(value: Any, where: str) -> list[str]:
    """Return the value after checking that it is a list of ids."""
    ids = [as_id(item) for item in value] if isinstance(value, list) else []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in ids):
        raise InputError(f"{where}: expected a list of ids as texts or whole numbers, got {value!r:.80}")
    return ids
