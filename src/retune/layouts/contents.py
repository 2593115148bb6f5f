"""What layouts are written from: queries with their judged documents, and the texts of documents."""

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
EQUAL_TEXTS = "documents of their own, as title and text joined equal another's"


class Pair(NamedTuple):
    """A judged document of a query."""

    doc_id: str
    relevance: int
    score: float | None


class Example(NamedTuple):
    """A query with its judged documents, relevant and not, in the order of its judgments."""

    query_id: str
    text: str
    prompt: str | None
    answer: str | None
    positives: list[Pair]
    negatives: list[Pair]


def filled(dataset: Dataset) -> Iterator[tuple[str, Split]]:
    """Yield the splits that have queries."""
    yield from ((name, split) for name, split in dataset.splits.items() if len(split.queries))


def examples_of(split: Split) -> list[Example]:
    """Return a split's queries with their documents."""
    scores: dict[tuple[str, str], float] = {}
    if split.scores is not None:
        keys = zip(split.scores["query_id"], split.scores["doc_id"], strict=True)
        scores = dict(zip(keys, split.scores["score"].tolist(), strict=True))
    pairs: dict[str, list[Pair]] = defaultdict(list)
    columns = (split.qrels[name].tolist() for name in ("query_id", "doc_id", "relevance"))
    for query_id, doc_id, relevance in zip(*columns, strict=True):
        pairs[query_id].append(Pair(doc_id, relevance, scores.get((query_id, doc_id))))
    rows = zip(
        split.queries["query_id"].tolist(),
        split.queries["text"].tolist(),
        *(texts_or_none(split.queries[name]) for name in ("prompt", "answer")),
        strict=True,
    )
    examples = []
    for query_id, text, prompt, answer in rows:
        positives = [pair for pair in pairs[query_id] if pair.relevance > 0]
        negatives = [pair for pair in pairs[query_id] if pair.relevance <= 0]
        examples.append(Example(query_id, text, prompt, answer, positives, negatives))
    return examples


def texts_or_none(column: pd.Series) -> list[str | None]:
    """Return a column's texts, with None for missing and for empty ones: they mean the same."""
    return [value or None for value in column.astype(object).where(column.notna(), None)]


def corpus_columns(dataset: Dataset) -> tuple[list[str], list[str], list[str]]:
    """Return ids, titles ("" where there is none) and texts."""
    corpus = dataset.corpus
    return corpus["doc_id"].tolist(), [title or "" for title in texts_or_none(corpus["title"])], corpus["text"].tolist()


def text_by_id(dataset: Dataset) -> dict[str, str]:
    """Return each document as it is encoded, title first."""
    return dict(zip(dataset.corpus["doc_id"], document_texts(dataset.corpus), strict=True))


def num_equal(texts: Iterable[str]) -> int:
    """Count the texts that equal one before: tools that know documents by their text take them for one."""
    every = list(texts)
    return len(every) - len(set(every))


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write a JSON object a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
