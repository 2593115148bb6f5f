"""The audit of a synthetic data set: numbers for Git, samples with texts for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from retune.core.distributions import percentiles
from retune.core.records import document_texts
from retune.core.words import count_words
from retune.synthesis.drafts import Draft, Rejected

if TYPE_CHECKING:
    from retune.llm.ledger import Ledger

PERCENTILES = (0, 5, 50, 95, 100)
SAMPLES = 30  # of the queries kept
SAMPLES_OF_A_REASON = 3  # of the queries rejected
REJECTED_SAMPLES = 15
SAMPLE_COLUMNS = ["kind", "split", "doc_id", "query", "document", "reason"]


class Outcome(NamedTuple):
    """What became of the drafts of all documents.

    Attributes:
        rejected: What the method or a filter left out.
        documents: How many documents were used.
        shown_in_part: How many of them were longer than the language model was shown.
    """

    drafted: Sequence[Draft]
    kept: Sequence[Draft]
    rejected: Sequence[Rejected]
    documents: int
    shown_in_part: int


def audit(outcome: Outcome, ledgers: Mapping[str, Ledger]) -> dict[str, Any]:
    """Return counts and lengths, without any texts.

    Args:
        outcome: What became of the drafts.
        ledgers: What language models were asked, by purpose.
    """
    drafted = Counter(draft.kind for draft in outcome.drafted)
    texts: dict[str, list[str]] = {kind: [] for kind in sorted(drafted)}
    for draft in outcome.kept:
        texts[draft.kind].append(draft.text)
    return {
        "documents": outcome.documents,
        "documents_shown_in_part": outcome.shown_in_part,
        "documents_with_queries": len({draft.doc_id for draft in outcome.kept}),
        "kinds": {
            kind: {"drafted": drafted[kind], "kept": len(kept), "length": _lengths(kept)}
            for kind, kept in texts.items()
        },
        "rejected": dict(Counter(item.reason for item in outcome.rejected)),
        "language_models": {purpose: ledger.metrics() for purpose, ledger in ledgers.items()},
    }


def samples(outcome: Outcome, corpus: pd.DataFrame, split_of: Mapping[str, str]) -> pd.DataFrame:
    """Choose queries for a person to read: kept ones of every kind, and rejected ones of the commonest reasons.

    They lie evenly over the documents, so the same data set always gives the same samples.

    Args:
        outcome: What became of the drafts.
        corpus: The documents as training sees them.
        split_of: The split of each document's queries.

    Returns:
        `kind`, `split`, `doc_id`, `query`, `document` and `reason`, which is empty for a kept query.
    """
    kept = sorted(outcome.kept, key=lambda draft: draft.kind)
    rows = [(draft.kind, draft.doc_id, draft.text, "") for draft in _spread(kept, SAMPLES)]
    reasons: dict[str, list[Rejected]] = {}
    for item in outcome.rejected:
        if item.text:
            reasons.setdefault(item.reason, []).append(item)
    commonest = sorted(reasons.values(), key=len, reverse=True)
    shown = [item for items in commonest for item in _spread(items, SAMPLES_OF_A_REASON)][:REJECTED_SAMPLES]
    rows += [(item.kind, item.doc_id, item.text, item.reason) for item in shown]
    wanted = corpus[corpus["doc_id"].isin({doc_id for _, doc_id, _, _ in rows})]
    documents = dict(zip(wanted["doc_id"], document_texts(wanted), strict=True))
    table = [(kind, split_of[doc_id], doc_id, text, documents[doc_id], reason) for kind, doc_id, text, reason in rows]
    return pd.DataFrame(table, columns=SAMPLE_COLUMNS).astype(str)


def _spread(items: Sequence[Any], most: int) -> list[Any]:
    """Return at most so many items, evenly spread from the first to the last."""
    return [items[place] for place in np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)]


def _lengths(texts: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return percentiles of the lengths in words and in characters."""
    sizes = {"words": [count_words(text) for text in texts], "characters": [len(text) for text in texts]}
    return {
        unit: {name: int(value) for name, value in percentiles(values, PERCENTILES).items()}
        for unit, values in sizes.items()
    }
