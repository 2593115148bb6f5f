"""Format `rag_json`: one JSON file with queries, corpus and judgments.

Its keys are `queries`, `corpus`, `relevant_docs` and, where they exist, `negative_docs`, `reference_answers`
and `queries_split`. `queries` and `corpus` map ids to texts, `relevant_docs` and `negative_docs` query ids to
lists of document ids, `queries_split` the names train, val (or dev) and test to lists of query ids. Negatives
become judged irrelevant. Queries outside `queries_split` are train queries.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from retune.converters.source import CORPUS_COLUMNS, QREL_COLUMNS, QUERY_COLUMNS, Source, existing_file, text_field
from retune.errors import InputError
from retune.params.convert import Convert

SPLIT_NAMES = {"train": "train", "val": "dev", "dev": "dev", "test": "test"}


class Params(Convert):
    """Adds where the file's `val` queries go: the reference for this format evaluates on them."""

    val_is_test: bool


def read(raw: Path, params: Params) -> Source:
    """Read the file `raw`.

    Raises:
        InputError: It is no such JSON, or a text is empty.
    """
    content = _load(raw)
    names = SPLIT_NAMES | ({"val": "test"} if params.val_is_test else {})
    splits: dict[str, str] = {}
    for name, query_ids in _mapping(content, "queries_split", raw).items():
        if name not in names:
            raise InputError(f"{raw}: queries_split: expected {', '.join(names)}, got {name!r}")
        for query_id in _ids(query_ids, f"{raw}: queries_split.{name}"):
            if splits.setdefault(query_id, names[name]) != names[name]:
                raise InputError(f"{raw}: queries_split: expected {query_id!r} in one split, got it in two")
    corpus, queries = _mapping(content, "corpus", raw), _mapping(content, "queries", raw)
    answers = _mapping(content, "reference_answers", raw)
    documents = [
        {"doc_id": doc_id, "title": None, "text": text_field(corpus, doc_id, f"{raw}: corpus")} for doc_id in corpus
    ]
    rows = [
        {
            "query_id": query_id,
            "text": text_field(queries, query_id, f"{raw}: queries"),
            "prompt": None,
            "answer": answers.get(query_id),
            "split": splits.get(query_id, "train"),
            "group": query_id,
        }
        for query_id in queries
    ]
    qrels = [
        {"query_id": query_id, "doc_id": doc_id, "relevance": relevance}
        for key, relevance in (("relevant_docs", 1), ("negative_docs", 0))
        for query_id, doc_ids in _mapping(content, key, raw).items()
        for doc_id in _ids(doc_ids, f"{raw}: {key}.{query_id}")
    ]
    return Source(
        pd.DataFrame(documents, columns=CORPUS_COLUMNS),
        pd.DataFrame(rows, columns=QUERY_COLUMNS),
        pd.DataFrame(qrels, columns=QREL_COLUMNS),
        {"unknown query in queries_split": len(splits.keys() - queries.keys())},
    )


def _load(raw: Path) -> dict[str, Any]:
    try:
        content = json.loads(existing_file(raw).read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise InputError(f"{raw}:{error.lineno}: expected JSON, got {error.msg}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{raw}: expected UTF-8, got {error.reason}; save it as UTF-8") from None
    for key in ("queries", "corpus", "relevant_docs"):
        if not isinstance(content, dict) or key not in content:
            raise InputError(f"{raw}: expected an object with queries, corpus and relevant_docs, got none at {key!r}")
    return dict(content)


def _mapping(content: dict[str, Any], key: str, raw: Path) -> dict[str, Any]:
    value = content.get(key, {})
    if not isinstance(value, dict):
        raise InputError(f"{raw}: {key}: expected an object, got {type(value).__name__}")
    return value


def _ids(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"{where}: expected a list of ids as strings, got {value!r:.80}")
    return value
