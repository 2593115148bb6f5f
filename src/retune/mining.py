"""Give every training query hard negatives: documents a model ranks high that are not relevant to it."""

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from retune.encoding import Encoder
from retune.errors import InputError
from retune.params.mine import Mine
from retune.records import Mined, Split, document_texts
from retune.search import top_k
from retune.seeds import generator

AUDIT_PERCENTILES = (5, 50, 95)


def mine(
    corpus: pd.DataFrame, train: Split, encoder: Encoder, params: Mine, *, seed: int
) -> tuple[Mined, dict[str, Any]]:
    """Rank the corpus for every query and draw negatives from a range of ranks, or take those given.

    With source `given` a query needs as many judged negatives as asked for, else it is left out and counted.

    Ranks count from 0 with the positives still in the ranking, as the field's mining scripts do. A document
    relevant to the query, or to another query with the same text, is never a negative. Each query draws from
    its own generator, so its negatives do not depend on other queries or on order.

    Returns:
        The examples, and their audit: scores, ranks and shortages in numbers.

    Raises:
        InputError: No training queries, or fewer documents than negatives asked for.
    """
    _check(corpus, train, params)
    document_embeddings = encoder.encode_documents(document_texts(corpus))
    query_embeddings = encoder.encode_queries(train.queries["text"].tolist(), train.queries["prompt"].tolist())
    is_mined = params.source == "mined"
    scores, ranking = top_k(query_embeddings, document_embeddings, params.range[1] if is_mined else 1)
    positions = {doc_id: position for position, doc_id in enumerate(corpus["doc_id"])}
    doc_ids = corpus["doc_id"].to_numpy()
    positives, excluded = _positives(train)
    judged = _documents_of(train.qrels[train.qrels["relevance"] == 0])

    examples = []
    ranks: list[int] = []
    for row, query_id in enumerate(train.queries["query_id"]):
        relevant = sorted(positions[doc_id] for doc_id in positives[query_id])
        forbidden = [positions[doc_id] for doc_id in excluded[query_id]]
        if is_mined:
            drawn = _draw(ranking[row], forbidden, params, generator(seed, query_id))
            ranks += drawn.tolist()
            negatives, negative_scores = ranking[row, drawn], scores[row, drawn]
        else:
            given = np.array(sorted({positions[doc_id] for doc_id in judged[query_id]} - set(forbidden)), dtype=int)
            if len(given) < params.negatives:
                continue  # counted in the audit
            similarities = document_embeddings[given] @ query_embeddings[row]
            hardest = np.argsort(-similarities, kind="stable")[: params.negatives]
            negatives, negative_scores = given[hardest], similarities[hardest]
        examples.append(
            {
                "query_id": query_id,
                "positive_ids": doc_ids[relevant].tolist(),
                "negative_ids": doc_ids[negatives].tolist(),
                "positive_scores": (document_embeddings[relevant] @ query_embeddings[row]).tolist(),
                "negative_scores": negative_scores.tolist(),
                "source": params.dataset,
            }
        )
    if not examples:
        raise InputError(
            f"{params.dataset}: expected {params.negatives} judged negatives a query, no query has as many"
        )
    table = pd.DataFrame(examples)
    named = set(table["positive_ids"].explode()) | set(table["negative_ids"].explode())
    documents = corpus[corpus["doc_id"].isin(named)]
    queries = train.queries[train.queries["query_id"].isin(table["query_id"])]
    audit = _audit(table, ranks, params) | {"queries_left_out": len(train.queries) - len(queries)}
    return Mined(table, queries, documents), audit


def _check(corpus: pd.DataFrame, train: Split, params: Mine) -> None:
    if train.queries.empty:
        raise InputError(f"{params.dataset}: expected training queries, got an empty train split")
    most = int((train.qrels["relevance"] > 0).groupby(train.qrels["query_id"]).sum().max())
    if len(corpus) < params.negatives + most or len(corpus) <= params.range[0]:
        raise InputError(
            f"{params.dataset}: expected documents for {params.negatives} negatives beside {most} "
            f"positives, from rank {params.range[0]} on, got {len(corpus)} documents; lower negatives or range"
        )


def _positives(train: Split) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return each query's relevant documents, and those of all queries with its text."""
    positives = _documents_of(train.qrels[train.qrels["relevance"] > 0])
    of_text: dict[str, set[str]] = defaultdict(set)
    for query_id, text in zip(train.queries["query_id"], train.queries["text"], strict=True):
        of_text[text] |= positives[query_id]
    pairs = zip(train.queries["query_id"], train.queries["text"], strict=True)
    return positives, {query_id: of_text[text] for query_id, text in pairs}


def _documents_of(qrels: pd.DataFrame) -> dict[str, set[str]]:
    documents: dict[str, set[str]] = defaultdict(set)
    for query_id, doc_id in zip(qrels["query_id"], qrels["doc_id"], strict=True):
        documents[query_id].add(doc_id)
    return documents


def _draw(ranking: np.ndarray, forbidden: list[int], params: Mine, rng: np.random.Generator) -> np.ndarray:
    """Return the ranks drawn for one query, hardest first; fewer where the range holds fewer."""
    first, stop = params.range
    candidates = np.arange(first, min(stop, len(ranking)))
    candidates = candidates[~np.isin(ranking[candidates], forbidden)]
    return np.sort(rng.permutation(candidates)[: params.negatives])


def _audit(examples: pd.DataFrame, ranks: list[int], params: Mine) -> dict[str, Any]:
    positive = examples["positive_scores"].explode().astype(float)
    negative = examples["negative_scores"].explode().dropna().astype(float)
    lowest = examples["positive_scores"].map(min)
    above = sum(
        sum(score > low for score in scores) for scores, low in zip(examples["negative_scores"], lowest, strict=True)
    )
    counts = examples["negative_ids"].str.len()
    return {
        "queries": len(examples),
        "negatives": int(counts.sum()),
        "queries_with_fewer_negatives": int((counts < params.negatives).sum()),
        "negatives_above_lowest_positive": round(above / max(len(negative), 1), 5),
        "positive_score": _percentiles(positive),
        "negative_score": _percentiles(negative),
        "negative_rank": _percentiles(pd.Series(ranks, dtype=float)),
    }


def _percentiles(values: pd.Series) -> dict[str, float]:
    if values.empty:
        return {}
    return {f"p{percentile}": round(float(values.quantile(percentile / 100)), 5) for percentile in AUDIT_PERCENTILES}
