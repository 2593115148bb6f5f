"""Measure a model on a data set's test split: what it finds, and how good that is."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from retune.core.errors import InputError
from retune.core.records import DECIMALS, Split, read_corpus, read_split
from retune.encoding.compute import Compute
from retune.evaluation.candidate_lists import contested, rank_candidates
from retune.evaluation.exclusions import drop, read_excluded, same_ids, without
from retune.evaluation.metrics import mean_scores, score_lists, score_ranking
from retune.evaluation.pair_scores import pair_scores
from retune.params.eval import Measuring
from retune.retrieval.retriever import Found, Retriever, VectorRetriever, load_retriever
from retune.retrieval.trec_runs import run_table


@dataclass(frozen=True)
class Cell:
    """What is known of one model on one data set.

    Attributes:
        per_query: `query_id` and a column per metric.
        means: Of every metric; `search_recall` of an approximate search; of candidate lists `queries_left_out`.
        run: What was found, as `run_table` returns it.
        pair_scores: Cosines of relevant and of random pairs; empty for a model without vectors.
    """

    per_query: pd.DataFrame
    means: dict[str, float]
    run: pd.DataFrame
    pair_scores: dict[str, Any]


def measure(model: Path, dataset: Path, params: Measuring, compute: Compute, *, excluded: Path, seed: int) -> Cell:
    """Rank the corpus, or each query's own candidates, for every test query, and score the ranking.

    Args:
        model: A model directory, or that of BM25.
        dataset: A data set's folder; its name is looked for in `judged_only`.
        params: Cut-offs and how to rank.
        compute: For encoding.
        excluded: Folder of a user's lists of documents that a query may not find.
        seed: Of random pairs and of the sample that measures a search.

    Raises:
        InputError: There is nothing to rank, or the model, the search, a cut-off or a list do not fit.
    """
    corpus, test = read_corpus(dataset), read_split(dataset, "test")
    if test.queries.empty:
        raise InputError(f"{dataset.name}: expected test queries, got none; give it some (convert.{dataset.name}.test)")
    forbidden = read_excluded(excluded, dataset.name, test.queries["query_id"], corpus["doc_id"])
    if params.exclude_same_id:
        forbidden = pd.concat([forbidden, same_ids(test.queries["query_id"], corpus["doc_id"])]).drop_duplicates()
    is_listed = dataset.name in params.judged_only
    asked = _with_lists(test, dataset.name, forbidden) if is_listed else test
    retriever = load_retriever(model, corpus, asked.queries, compute, dims=params.dims)
    doc_ids = corpus["doc_id"]
    if is_listed:
        found = rank_candidates(retriever, doc_ids, asked)
    else:
        found = _rank_corpus(retriever, doc_ids, asked.queries["query_id"], forbidden, params, seed)
    judged = replace(asked, qrels=test.qrels)  # also what may not be found counts as relevant
    per_query = (score_lists if is_listed else score_ranking)(found.positions, doc_ids, judged, params.ks)
    means = mean_scores(per_query)
    if found.recall is not None:
        means["search_recall"] = round(found.recall, DECIMALS)
    if is_listed:
        means["queries_left_out"] = len(test.queries) - len(asked.queries)
    cosines = pair_scores(retriever, doc_ids, judged, seed=seed) if isinstance(retriever, VectorRetriever) else {}
    return Cell(
        per_query,
        means,
        run_table(found.scores, found.positions, asked.queries["query_id"], doc_ids),
        cosines,
    )


def _rank_corpus(
    retriever: Retriever,
    doc_ids: pd.Series,
    query_ids: pd.Series,
    forbidden: pd.DataFrame,
    params: Measuring,
    seed: int,
) -> Found:
    """Find each query's documents up to the last cut-off, but for those it may not find."""
    depth = max(params.ks)
    most = int(forbidden["query_id"].value_counts().max()) if len(forbidden) else 0
    found = retriever.top_k(depth + most, params.search, seed=seed)
    return drop(found, forbidden, query_ids, doc_ids, depth) if most else found


def _with_lists(test: Split, dataset: str, forbidden: pd.DataFrame) -> Split:
    """Return the queries that have a list with something to tell apart, and these lists as judgments."""
    asked = contested(replace(test, qrels=without(test.qrels, forbidden)))
    if asked.queries.empty:
        raise InputError(
            f"params.yaml: eval.judged_only: expected data sets whose test queries have documents judged irrelevant "
            f"(relevance 0), got {dataset!r} without; take it off"
        )
    return asked
