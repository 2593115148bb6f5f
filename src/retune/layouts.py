"""The layouts of other tools: how each is written, and what it has no place for.

The converters of the same names read them back.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retune.errors import InputError
from retune.files import write_text
from retune.records import PARQUET, Dataset, Split, document_texts

TITLES = "titles (put before the texts)"
PROMPTS = "prompts"
ANSWERS = "answers"
GRADES = "grades above 1 (written as 1)"
SCORES = "scores"
UNANSWERED = "queries without a relevant document"


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


class Layout(NamedTuple):
    """How other tools want the data.

    Attributes:
        write: Fills a folder; returns what it left out beyond `lacks`.
        lacks: What the layout has no place for.
    """

    write: Callable[[Dataset, Path], Mapping[str, int]]
    lacks: tuple[str, ...]


def _write_flagembedding(dataset: Dataset, folder: Path) -> dict[str, int]:
    """Write one row per query; its trainer reads `null` as a word where another row has a prompt, hence ""."""
    texts = _text_by_id(dataset)
    unaligned = 0
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, split in _filled(dataset):
        rows[name] = [_flagembedding_row(example, texts) for example in _examples(split) if example.positives]
        written = sum(len(row["pos_scores"] or ()) + len(row["neg_scores"] or ()) for row in rows[name])
        unaligned += (0 if split.scores is None else len(split.scores)) - written
    used = {key for part in rows.values() for row in part for key, value in row.items() if value is not None}
    blank = {"prompt": "", "answer": ""}
    for name, part in rows.items():
        lines = ({key: blank.get(key) if row[key] is None else row[key] for key in row if key in used} for row in part)
        _write_lines(folder / f"{name}.jsonl", lines)
    corpus = zip(*_corpus_columns(dataset), strict=True)
    _write_lines(folder / "corpus.jsonl", ({"id": key, "title": title, "text": text} for key, title, text in corpus))
    return {"scores of queries that have documents without": unaligned}


def _flagembedding_row(example: Example, texts: Mapping[str, str]) -> dict[str, Any]:
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


def _write_beir(dataset: Dataset, folder: Path) -> dict[str, int]:
    corpus = zip(*_corpus_columns(dataset), strict=True)
    _write_lines(
        folder / "corpus.jsonl",
        ({"_id": key, "title": title, "text": text, "metadata": {}} for key, title, text in corpus),
    )
    (folder / "qrels").mkdir()
    queries = []
    for name, split in _filled(dataset):
        for example in _examples(split):
            extra = {"prompt": example.prompt, "answer": example.answer}
            metadata = {key: value for key, value in extra.items() if value is not None}
            queries.append({"_id": example.query_id, "text": example.text, "metadata": metadata})
        rows = split.qrels[["query_id", "doc_id", "relevance"]].itertuples(index=False)
        lines = (f"{query_id}\t{doc_id}\t{relevance}\n" for query_id, doc_id, relevance in rows)
        write_text(folder / "qrels" / f"{name}.tsv", "query-id\tcorpus-id\tscore\n" + "".join(lines))
    _write_lines(folder / "queries.jsonl", queries)
    return {}


def _write_rag_json(dataset: Dataset, folder: Path) -> dict[str, int]:
    splits = {name: _examples(split) for name, split in dataset.splits.items()}
    examples = [example for part in splits.values() for example in part]
    content = {
        "queries": {example.query_id: example.text for example in examples},
        "corpus": _text_by_id(dataset),
        "relevant_docs": {example.query_id: [pair.doc_id for pair in example.positives] for example in examples},
        "negative_docs": {
            example.query_id: [pair.doc_id for pair in example.negatives] for example in examples if example.negatives
        },
        "reference_answers": {example.query_id: example.answer for example in examples if example.answer is not None},
        "queries_split": {name: [example.query_id for example in part] for name, part in splits.items()},
    }
    write_text(folder / "dataset.json", json.dumps(content, ensure_ascii=False, indent=2) + "\n")
    return {}


def _write_sentence_transformers(dataset: Dataset, folder: Path) -> dict[str, int]:
    """Write one row per positive; its trainer wants the same columns in all rows, so equally many negatives."""
    texts = _text_by_id(dataset)
    negatives_left_out = 0
    used: set[str] = set()
    for name, split in _filled(dataset):
        examples = [example for example in _examples(split) if example.positives]
        num_negatives = min((len(example.negatives) for example in examples), default=0)
        rows = []
        for example in examples:
            negatives_left_out += len(example.negatives) - num_negatives
            negatives = [pair.doc_id for pair in example.negatives[:num_negatives]]
            used.update(negatives, (pair.doc_id for pair in example.positives))
            columns = {f"negative_{number}": texts[doc_id] for number, doc_id in enumerate(negatives, 1)}
            rows += [{"anchor": example.text, "positive": texts[pair.doc_id]} | columns for pair in example.positives]
        _write_lines(folder / f"{name}.jsonl", rows)
    if not any(folder.iterdir()):
        raise InputError("sentence_transformers: expected queries in train, dev or test, got none; use another layout")
    return {
        "ids": len(dataset.corpus) + sum(len(split.queries) for split in dataset.splits.values()),
        "negatives that not every query of the split has": negatives_left_out,
        "documents in no row": len(dataset.corpus) - len(used),
    }


def _write_mteb(dataset: Dataset, folder: Path) -> dict[str, int]:
    """Write Parquet and the card that names its configs; mteb refuses nulls and wants an instruction per query."""
    keys, titles, texts = _corpus_columns(dataset)
    examples = [example for split in dataset.splits.values() for example in _examples(split)]
    query_ids = [example.query_id for example in examples]
    answers = [example.answer or "" for example in examples]
    prompts = [example.prompt or "" for example in examples]
    queries: dict[str, list[Any]] = {"_id": query_ids, "text": [example.text for example in examples]}
    tables: dict[tuple[str, str], dict[str, list[Any]]] = {
        ("corpus", "corpus"): {"_id": keys, "title": titles, "text": texts},
        ("queries", "queries"): queries | ({"answer": answers} if any(answers) else {}),
    }
    for name, split in _filled(dataset):
        names = (("query-id", "query_id"), ("corpus-id", "doc_id"), ("score", "relevance"))
        tables["qrels", name] = {theirs: split.qrels[ours].tolist() for theirs, ours in names}
    if any(prompts):
        tables["instruction", "instruction"] = {"query-id": query_ids, "instruction": prompts}
    configs: dict[str, list[str]] = defaultdict(list)
    for (config, split_name), columns in tables.items():
        path = folder / config / f"{split_name}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        schema = pa.schema([(key, pa.int64() if key == "score" else pa.string()) for key in columns])
        pq.write_table(pa.table(columns, schema=schema), path, **PARQUET)
        configs[config] += [f"  - split: {split_name}", f"    path: {config}/{split_name}-*"]
    card = [line for name, lines in configs.items() for line in (f"- config_name: {name}", "  data_files:", *lines)]
    write_text(folder / "README.md", "\n".join(["---", "configs:", *card, "---", ""]))
    return {}


def _filled(dataset: Dataset) -> Iterator[tuple[str, Split]]:
    """Yield the splits that have queries."""
    yield from ((name, split) for name, split in dataset.splits.items() if len(split.queries))


def _examples(split: Split) -> list[Example]:
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


def _corpus_columns(dataset: Dataset) -> tuple[list[str], list[str], list[str]]:
    """Return ids, titles ("" where there is none) and texts."""
    corpus = dataset.corpus
    return corpus["doc_id"].tolist(), [title or "" for title in texts_or_none(corpus["title"])], corpus["text"].tolist()


def _text_by_id(dataset: Dataset) -> dict[str, str]:
    """Return each document as it is encoded, title first."""
    return dict(zip(dataset.corpus["doc_id"], document_texts(dataset.corpus), strict=True))


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


LAYOUTS = {
    "flagembedding": Layout(_write_flagembedding, (TITLES, UNANSWERED)),
    "beir": Layout(_write_beir, (SCORES, UNANSWERED)),
    "rag_json": Layout(_write_rag_json, (TITLES, PROMPTS, GRADES, SCORES)),
    "sentence_transformers": Layout(
        _write_sentence_transformers, (TITLES, PROMPTS, ANSWERS, GRADES, SCORES, UNANSWERED)
    ),
    "mteb": Layout(_write_mteb, (SCORES, UNANSWERED)),
}
