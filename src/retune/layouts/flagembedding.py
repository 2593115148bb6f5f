"""Layout `flagembedding`: one row per query, and the corpus."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retune.core.records import Dataset
from retune.layouts.contents import (
    EQUAL_TEXTS,
    TITLES,
    UNANSWERED,
    Example,
    corpus_columns,
    examples_of,
    filled,
    num_equal,
    text_by_id,
    write_lines,
)

LACKS = (TITLES, UNANSWERED)


def write(dataset: Dataset, folder: Path) -> dict[str, int]:
    """Write one row per query.

    If any row has a prompt, the others get "", because FlagEmbedding's trainer would read `null` as a word.
    """
    texts = text_by_id(dataset)
    unaligned = 0
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, split in filled(dataset):
        rows[name] = [_row(example, texts) for example in examples_of(split) if example.positives]
        written = sum(len(row["pos_scores"] or ()) + len(row["neg_scores"] or ()) for row in rows[name])
        unaligned += (0 if split.scores is None else len(split.scores)) - written
    used = {key for part in rows.values() for row in part for key, value in row.items() if value is not None}
    blank = {"prompt": "", "answer": ""}
    for name, part in rows.items():
        lines = ({key: blank.get(key) if row[key] is None else row[key] for key in row if key in used} for row in part)
        write_lines(folder / f"{name}.jsonl", lines)
    corpus = zip(*corpus_columns(dataset), strict=True)
    write_lines(folder / "corpus.jsonl", ({"id": key, "title": title, "text": text} for key, title, text in corpus))
    return {"scores of queries with unscored documents": unaligned, EQUAL_TEXTS: num_equal(texts.values())}


def _row(example: Example, texts: Mapping[str, str]) -> dict[str, Any]:
    positives, negatives = example.positives, example.negatives
    is_scored = all(pair.score is not None for pair in positives + negatives)
    is_graded = any(pair.relevance > 1 for pair in positives)
    return {
        "query": example.text,
        "pos": [texts[pair.doc_id] for pair in positives],
        "neg": [texts[pair.doc_id] for pair in negatives],
        "pos_scores": [pair.score for pair in positives] if is_scored else None,
        "neg_scores": [pair.score for pair in negatives] if is_scored else None,
        "prompt": example.prompt,
        "query_id": example.query_id,
        "pos_ids": [pair.doc_id for pair in positives],
        "neg_ids": [pair.doc_id for pair in negatives],
        "answer": example.answer,
        "pos_relevance": [pair.relevance for pair in positives] if is_graded else None,
    }
