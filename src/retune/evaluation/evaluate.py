"""Evaluate a model on a data set's test split: rank documents for each query, and score the rankings."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from retune.core.distributions import rounded
from retune.core.errors import InputError
from retune.core.records import DECIMALS, Split, read_corpus, read_split
from retune.encoding.compute import Compute
from retune.evaluation.candidate_lists import contested, rank_candidates
from retune.evaluation.exclusions import located, read_excluded, same_ids, without
from retune.evaluation.metrics import mean_scores, score_lists, score_ranking
from retune.evaluation.pair_scores import pair_scores
from retune.models.directory import is_system
from retune.models.size import count_parameters
from retune.params.eval import Measuring
from retune.retrieval.retriever import VectorFormat, VectorRetriever, load_retriever
from retune.retrieval.system_directory import read_system
from retune.retrieval.systems import RerankingRetriever
from retune.retrieval.trec_runs import run_table


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating one model on one data set.

    Attributes:
        per_query: `query_id` and one column per metric.
        means: The mean of every metric; also `search_recall` if the search is approximate, and `queries_left_out` if
            candidate lists are ranked.
        run: The documents retrieved for each query, as returned by `run_table`.
        pair_scores: Cosine similarities of relevant and of random pairs, the number of the model's parameters, and the
            share of the texts that it cut; for a system only `parts`, the names of its models, and the share of the
            pairs that a reranker cut; empty for BM25.
    """

    per_query: pd.DataFrame
    means: dict[str, float]
    run: pd.DataFrame
    pair_scores: dict[str, Any]


def measure(
    model: Path, dataset: Path, params: Measuring, compute: Compute, *, excluded: Path, seed: int
) -> Evaluation:
    """Rank the corpus or a candidate list for every test query, and score the rankings.

    Args:
        model: A model directory, or that of BM25 or of a system.
        dataset: A data set's folder; candidate lists are ranked if `judged_only` contains its name.
        params: The cut-offs and the search.
        compute: The hardware for encoding.
        excluded: The folder of a user's tables of excluded documents.
        seed: The seed of the random pairs, and of the sample on which the recall of a search is measured.

    Raises:
        InputError: There is no query to rank for, or the model, the search, a cut-off or a table of excluded
            documents does not fit the data set.
    """
    corpus, test = read_corpus(dataset), read_split(dataset, "test")
    if test.queries.empty:
        raise InputError(f"{dataset.name}: expected test queries, got none; give it some (convert.{dataset.name}.test)")
    pairs = read_excluded(excluded, dataset.name, test.queries["query_id"], corpus["doc_id"])
    if params.exclude_same_id:
        pairs = pd.concat([pairs, same_ids(test.queries["query_id"], corpus["doc_id"])]).drop_duplicates()
    is_listed = dataset.name in params.judged_only
    asked = _with_lists(test, dataset.name, pairs) if is_listed else test
    retriever = load_retriever(
        model, dataset.name, corpus, asked.queries, compute, VectorFormat(params.dims, params.dtype)
    )
    doc_ids = corpus["doc_id"]
    if is_listed:
        ranking = rank_candidates(retriever, doc_ids, asked)
    else:
        hidden = located(pairs, asked.queries["query_id"], doc_ids)
        ranking = retriever.top_k(max(params.ks), params.search, seed=seed, excluded=hidden)
    judged = replace(asked, qrels=test.qrels)  # an excluded document that is relevant counts as not found
    per_query = (score_lists if is_listed else score_ranking)(ranking.positions, doc_ids, judged, params.ks)
    means = mean_scores(per_query)
    if ranking.recall is not None:
        means["search_recall"] = round(ranking.recall, DECIMALS)
    if is_listed:
        means["queries_left_out"] = len(test.queries) - len(asked.queries)
    details: dict[str, Any] = {"parts": read_system(model).parts} if is_system(model) else {}
    if isinstance(retriever, RerankingRetriever):
        details["share_truncated"] = rounded({"pairs": retriever.share_truncated})
    if isinstance(retriever, VectorRetriever):
        details = pair_scores(retriever, doc_ids, judged, seed=seed) | _reading(model, retriever)
    run = run_table(ranking.scores, ranking.positions, asked.queries["query_id"], doc_ids)
    return Evaluation(per_query, means, run, details)


def _reading(model: Path, retriever: VectorRetriever) -> dict[str, Any]:
    counts = {"queries": len(retriever.queries), "documents": len(retriever.documents)}
    cut = {role: retriever.texts_truncated[role] / count for role, count in counts.items()}
    return {"model_parameters": count_parameters(model), "share_truncated": rounded(cut)}


def _with_lists(test: Split, dataset: str, excluded: pd.DataFrame) -> Split:
    """Return the queries whose order of candidates can be right or wrong; their judgments are the candidate lists."""
    asked = contested(replace(test, qrels=without(test.qrels, excluded)))
    if asked.queries.empty:
        raise InputError(
            f"params.yaml: eval.judged_only: expected data sets whose test queries have documents judged irrelevant "
            f"(relevance 0), got {dataset!r}, which has none; remove it from the list"
        )
    return asked
