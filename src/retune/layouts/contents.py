"""The contents of a data set in the form that layouts use: queries with judged documents, and document texts."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from retune.core.records import Dataset, Split, document_texts

TITLES = "titles (put before the texts)"
PROMPTS = "prompts"
ANSWERS = "answers"
GRADES = "grades above 1 (written as 1)"
SCORES = "scores"
UNANSWERED = "queries without a relevant document"
EQUAL_TEXTS = "separate documents whose joined title and text are equal"


class JudgedDocument(NamedTuple):
    """A judged document of a query."""

    doc_id: str
    relevance: int
    score: float | None


class Example(NamedTuple):
    """A query with its relevant and irrelevant documents, in the order of the judgments."""

    query_id: str
    text: str
    prompt: str | None
    answer: str | None
    positives: list[JudgedDocument]
    negatives: list[JudgedDocument]


def filled(dataset: Dataset) -> Iterator[tuple[str, Split]]:
    """Yield the splits that have queries."""
    yield from ((name, split) for name, split in dataset.splits.items() if len(split.queries))


def examples_of(split: Split) -> list[Example]:
    """Return the queries of a split with their judged documents."""
    scores: dict[tuple[str, str], float] = {}
    if split.scores is not None:
        keys = zip(split.scores["query_id"], split.scores["doc_id"], strict=True)
        scores = dict(zip(keys, split.scores["score"].tolist(), strict=True))
    judged: dict[str, list[JudgedDocument]] = defaultdict(list)
    columns = (split.qrels[name].tolist() for name in ("query_id", "doc_id", "relevance"))
    for query_id, doc_id, relevance in zip(*columns, strict=True):
        judged[query_id].append(JudgedDocument(doc_id, relevance, scores.get((query_id, doc_id))))
    rows = zip(
        split.queries["query_id"].tolist(),
        split.queries["text"].tolist(),
        *(texts_or_none(split.queries[name]) for name in ("prompt", "answer")),
        strict=True,
    )
    examples = []
    for query_id, text, prompt, answer in rows:
        positives = [document for document in judged[query_id] if document.relevance > 0]
        negatives = [document for document in judged[query_id] if document.relevance <= 0]
        examples.append(Example(query_id, text, prompt, answer, positives, negatives))
    return examples


def texts_or_none(column: pd.Series) -> list[str | None]:
    """Return the texts of a column, with None for both missing and empty ones."""
    return [value or None for value in column.astype(object).where(column.notna(), None)]


def corpus_columns(dataset: Dataset) -> tuple[list[str], list[str], list[str]]:
    """Return the ids, titles ("" if missing) and texts of the corpus."""
    corpus = dataset.corpus
    return corpus["doc_id"].tolist(), [title or "" for title in texts_or_none(corpus["title"])], corpus["text"].tolist()


def text_by_id(dataset: Dataset) -> dict[str, str]:
    """Return the text of each document as it is encoded, with the title first."""
    return dict(zip(dataset.corpus["doc_id"], document_texts(dataset.corpus), strict=True))


def num_equal(texts: Iterable[str]) -> int:
    """Return the number of texts that equal an earlier one; tools that identify documents by text merge them."""
    listed = list(texts)
    return len(listed) - len(set(listed))


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object per line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
