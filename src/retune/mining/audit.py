"""The audit of a mined set: numbers and ids for Git, texts for people."""

from typing import Any

import numpy as np
import pandas as pd

from retune.core.distributions import percentiles, rounded
from retune.core.records import DECIMALS
from retune.mining.candidates import UNRANKED
from retune.mining.inputs import MiningInputs, flatten
from retune.mining.outcome import Outcome
from retune.mining.score_distribution import score_distribution
from retune.params.mine import Mine

PERCENTILES = (5, 50, 95)
SUSPECTS = 20


def tables(inputs: MiningInputs, outcome: Outcome) -> dict[str, pd.DataFrame | None]:
    """Return the tables with texts that a person should look at, by name."""
    return {"suspects": suspects(inputs, outcome), "relabelled": relabelled(inputs, outcome)}


def suspects(inputs: MiningInputs, outcome: Outcome) -> pd.DataFrame:
    """Return the likeliest false negatives: those with the highest scores relative to their query's lowest positive.

    Returns:
        At most twenty rows, worst first: `query_id`, `query`, `doc_id`, `document`, `score`, `rank` (or null), and
        the lowest-scoring positive as `positive_id`, `positive`, `positive_score`.
    """
    negatives = outcome.negatives
    excess = negatives.score - outcome.lowest_positive[negatives.query]
    worst = negatives.take(np.argsort(-excess, kind="stable")[:SUSPECTS])
    lowest = _lowest_positives(inputs, outcome)[worst.query]
    ids, texts = inputs.documents["doc_id"].to_numpy(), np.array(inputs.document_texts, dtype=object)
    return pd.DataFrame(
        {
            "query_id": inputs.queries["query_id"].to_numpy()[worst.query],
            "query": inputs.queries["text"].to_numpy()[worst.query],
            "doc_id": ids[worst.document],
            "document": texts[worst.document],
            "score": worst.score,
            "rank": pd.array([None if rank == UNRANKED else rank for rank in worst.rank.tolist()], dtype="Int64"),
            "positive_id": ids[lowest],
            "positive": texts[lowest],
            "positive_score": outcome.lowest_positive[worst.query],
        }
    )


def relabelled(inputs: MiningInputs, outcome: Outcome) -> pd.DataFrame | None:
    """Return the negatives that turned out to answer their query; None if none were asked.

    Returns:
        Highest score first: `query_id`, `query`, `doc_id`, `document`, `score`, `judge_score` and `becomes`.
    """
    if (found := outcome.relabelled) is None:
        return None
    answers = found.answers
    return pd.DataFrame(
        {
            "query_id": inputs.queries["query_id"].to_numpy()[answers.query],
            "query": inputs.queries["text"].to_numpy()[answers.query],
            "doc_id": inputs.documents["doc_id"].to_numpy()[answers.document],
            "document": np.array(inputs.document_texts, dtype=object)[answers.document],
            "score": answers.score,
            "judge_score": found.judge_scores,
            "becomes": "positive" if found.are_positives else "left_out",
        }
    )


def audit(inputs: MiningInputs, outcome: Outcome, params: Mine) -> dict[str, Any]:
    """Return counts, shares, percentiles and the distribution of scores, without any texts."""
    negatives = outcome.negatives
    per_query = np.bincount(negatives.query, minlength=len(inputs.queries))
    ranks = negatives.rank[negatives.rank != UNRANKED]
    is_above = negatives.score > outcome.lowest_positive[negatives.query]
    worst = suspects(inputs, outcome)[["query_id", "doc_id", "positive_id"]].to_numpy().tolist()
    optional: dict[str, Any] = {} if outcome.relabelled is None else {"relabel": outcome.relabelled.counts()}
    optional |= {"suspects": worst} if worst else {}  # DVC draws no plot of a file with an empty list
    return optional | {
        "queries": len(inputs.queries),
        "queries_without_positives": inputs.num_without_positives,
        "documents_ranked": inputs.num_ranked,
        "positives": len(outcome.positives),
        "judged": sum(map(len, inputs.judged)),
        "negatives": len(negatives),
        "negatives_from": dict(outcome.origins),
        "negatives_above_lowest_positive": _share(is_above),
        "queries_short": len(outcome.short),
        "queries_with_fewer_negatives": int((per_query < params.negatives).sum()),
        "candidates": outcome.num_candidates,
        "rejected": dict(outcome.rejected),
        "outside_limits": dict(outcome.outside),
        "search_recall": outcome.recall,
        "texts_truncated": dict(outcome.truncated),
        "positive_score": rounded(percentiles(outcome.positives, PERCENTILES)),
        "negative_score": rounded(percentiles(negatives.score, PERCENTILES)),
        "random_score": rounded(percentiles(outcome.random_pairs, PERCENTILES)),
        "negative_rank": rounded(percentiles(ranks, PERCENTILES)),
        "score_distribution": score_distribution(outcome.positives, negatives.score, outcome.random_pairs),
    }


def _lowest_positives(inputs: MiningInputs, outcome: Outcome) -> np.ndarray:
    """Return the position of each query's lowest-scoring positive, by row."""
    rows, positions = flatten(outcome.relevant)
    order = np.lexsort((outcome.positives, rows))
    return positions[order[np.searchsorted(rows, np.arange(len(inputs.queries)))]]


def _share(marks: np.ndarray) -> float | None:
    return round(float(marks.mean()), DECIMALS) if len(marks) else None
