"""Make training queries from documents alone, offline, by the inverse cloze task.

A sentence of a document becomes a query whose relevant document is that document (Lee et al., arXiv:1906.00300). The
removal rate is the probability that the sentence is removed from its document. Queries whose sentence was removed
teach the model meaning; the others teach it to match words.
"""

import math
import re
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.records import Dataset, Split, empty_split
from retune.core.seeds import generator
from retune.datasets.statistics import describe, measure
from retune.params.synthesize import Synthesize

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n\s*\n")
MIN_LETTERS = 0.6  # share of letters in a sentence; with fewer, it is code, a table or a formula


def synthesize(corpus: pd.DataFrame, params: Synthesize, *, seed: int) -> tuple[Dataset, pd.DataFrame, dict[str, Any]]:
    """Return a data set of the same documents with synthetic queries, the rejected sentences, and statistics.

    Documents keep their ids; their texts lack the removed sentences. Each document has its own random generator, so
    its queries do not depend on the other documents.

    Raises:
        InputError: No document yields a query.
    """
    rows: list[dict[str, Any]] = []
    rejected: list[dict[str, str]] = []
    texts: list[str] = []
    for doc_id, text in zip(corpus["doc_id"], corpus["text"], strict=True):
        chosen, remaining, reasons = _questions(text, params, generator(seed, doc_id))
        texts.append(remaining)
        rows += [{"query_id": f"{doc_id}-q{n}", "doc_id": doc_id, "text": query} for n, query in enumerate(chosen)]
        rejected += [{"doc_id": doc_id, "text": sentence, "reason": reason} for sentence, reason in reasons]
    if not rows:
        raise InputError(
            f"expected documents with a sentence of {params.min_words} to {params.max_words} words and at least one "
            f"other sentence, got none among {len(corpus)}; lower min_words or raise max_words"
        )
    queries = pd.DataFrame(rows).assign(prompt=None, answer=None, relevance=1)
    is_dev = queries["doc_id"].isin(_dev_documents(queries["doc_id"], params.dev, seed))
    splits = {
        "train": Split(queries[~is_dev], queries[~is_dev]),
        "dev": Split(queries[is_dev], queries[is_dev]),
        "test": empty_split(),
    }
    rejects = pd.DataFrame(rejected, columns=["doc_id", "text", "reason"]).astype(str)
    dataset = Dataset(corpus.assign(text=texts), splits)
    statistics = describe(splits, *measure(texts), texts, Counter(rejects["reason"]))
    return dataset, rejects, statistics


def _questions(text: str, params: Synthesize, rng: np.random.Generator) -> tuple[list[str], str, list[tuple[str, str]]]:
    """Return a document's queries, its text without the removed sentences, and rejected sentences with reasons."""
    parts = _sentences(text)
    sentences = list(dict.fromkeys(sentence for sentence, _, _ in parts))
    if len(sentences) < 2:
        return [], text, [(sentence, "only sentence of its document") for sentence in sentences]
    reasons = {sentence: _rejection(sentence, params) for sentence in sentences}
    usable = [sentence for sentence in sentences if not reasons[sentence]]
    count = min(params.queries_per_document, len(usable), len(sentences) - 1)
    chosen = [usable[index] for index in rng.choice(len(usable), size=count, replace=False)]
    removed = {sentence for sentence in chosen if rng.random() < params.removal_rate}
    for sentence, start, end in reversed(parts):
        if sentence in removed:
            text = text[:start] + text[end:]
    return chosen, text.strip() if removed else text, [item for item in reasons.items() if item[1]]


def _sentences(text: str) -> list[tuple[str, int, int]]:
    """Return each sentence with single spaces, its start, and the start of the next one."""
    ends = [*(match.end() for match in SENTENCE_END.finditer(text)), len(text)]
    spans = zip([0, *ends], ends, strict=False)
    return [(" ".join(text[start:end].split()), start, end) for start, end in spans if text[start:end].strip()]


def _rejection(sentence: str, params: Synthesize) -> str:
    """Return why a sentence cannot be a query, or an empty string if it can."""
    words = len(sentence.split())
    if words < params.min_words:
        return "sentence too short"
    if words > params.max_words:
        return "sentence too long"
    if sum(character.isalpha() for character in sentence) < MIN_LETTERS * len(sentence):
        return "sentence is mostly not letters"
    return ""


def _dev_documents(doc_ids: pd.Series, share: float, seed: int) -> np.ndarray:
    """Draw the documents whose queries form the dev split."""
    unique = np.sort(doc_ids.unique())
    return np.random.default_rng(seed).permutation(unique)[: math.ceil(share * len(unique))]
