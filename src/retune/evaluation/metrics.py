"""Ranked retrieval metrics as trec_eval defines them: their keys, and their values per query."""

import re

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.records import DECIMALS, Split

METRICS = ("ndcg", "map", "recall", "precision", "mrr", "hit")
METRIC_KEY = re.compile(rf"({'|'.join(METRICS)})_at_([1-9][0-9]*)")
UNCUT = ("map", "mrr")  # for candidate lists, also computed without a cut-off
BLOCK = 2**20  # ranks compared at once, to limit memory


def parse_metric(key: str) -> tuple[str, int]:
    """Split a metric key such as `ndcg_at_10` into name and cut-off.

    Raises:
        InputError: It is not a metric key.
    """
    match = METRIC_KEY.fullmatch(key)
    if match is None:
        raise InputError(f"expected a metric such as ndcg_at_10, one of {', '.join(METRICS)} at a k, got {key!r}")
    return match[1], int(match[2])


def score_ranking(ranking: np.ndarray, doc_ids: pd.Series, split: Split, ks: list[int]) -> pd.DataFrame:
    """Score a ranking against the judgments.

    Let g_i be the grade of the document at rank i (0 unless it is relevant), and R the number of the query's relevant
    documents. Up to rank k,

    - ndcg is the sum of g_i / log2(i + 1), divided by the same sum for the ideal order;
    - map is the sum of the precision at each rank with a relevant document, divided by R;
    - recall is the number of relevant documents, divided by R;
    - precision is the number of relevant documents, divided by k;
    - mrr is 1 / (the first rank with a relevant document), or 0;
    - hit is 1 if there is a relevant document, or 0.

    Args:
        ranking: Positions of documents, best first, (queries, depth); -1 after the last document of a row.
        doc_ids: The ids of the corpus, in the order of positions.
        split: The queries, in the order of the rows, and their judgments.
        ks: The cut-offs.

    Returns:
        One row per query: `query_id` and one column per metric and k, such as `ndcg_at_10`.

    Raises:
        InputError: A query has no relevant document.
    """
    size = len(split.queries)
    row, position, grade = relevant_judgments(doc_ids, split)
    num_relevant = np.bincount(row, minlength=size)
    if not num_relevant.all():
        query_id = split.queries["query_id"].iloc[num_relevant.argmin()]
        raise InputError(f"query {query_id!r}: expected a relevant document, got none")
    ideal = row, _numbers(row), grade[np.lexsort((-grade, row))]
    hit, rank = _hits(ranking[:, : max(ks)], row, position)
    found = row[hit], rank, grade[hit]
    precisions = (_numbers(found[0]) + 1) / (rank + 1)
    first = np.full(size, np.inf)
    np.minimum.at(first, found[0], rank + 1)

    columns: dict[str, object] = {"query_id": split.queries["query_id"].to_numpy()}
    for k in sorted(set(ks)):
        is_top = rank < k
        count = np.bincount(found[0][is_top], minlength=size)
        precision_sum = np.bincount(found[0][is_top], precisions[is_top], minlength=size)
        columns |= {
            f"ndcg_at_{k}": _discounted_gain(*found, k, size) / _discounted_gain(*ideal, k, size),
            f"map_at_{k}": precision_sum / num_relevant,
            f"recall_at_{k}": count / num_relevant,
            f"precision_at_{k}": count / k,
            f"mrr_at_{k}": np.where(first <= k, 1.0 / first, 0.0),
            f"hit_at_{k}": (count > 0).astype(float),
        }
    return pd.DataFrame(columns)


def score_lists(ranking: np.ndarray, doc_ids: pd.Series, split: Split, ks: list[int]) -> pd.DataFrame:
    """Score rankings of whole candidate lists as `score_ranking` does, and add `map` and `mrr` without a cut-off."""
    depth = max(1, ranking.shape[1])
    whole = score_ranking(ranking, doc_ids, split, [depth])
    uncut = {name: whole[f"{name}_at_{depth}"] for name in UNCUT}
    return score_ranking(ranking, doc_ids, split, ks).assign(**uncut)


def relevant_judgments(doc_ids: pd.Series, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the queries and documents of the judgments that say relevant.

    A pair that is judged several times counts once, with its last grade.

    Args:
        doc_ids: The ids of the corpus, in the order of positions.
        split: The queries, in the order of the rows, and their judgments; those of other queries are left out.

    Returns:
        Three arrays, (judgments,), sorted by row: each judgment's query row, its document's position (-1 outside the
        corpus) and its grade, above 0.
    """
    relevant = split.qrels[split.qrels["relevance"] > 0].drop_duplicates(["query_id", "doc_id"], keep="last")
    row = pd.Index(split.queries["query_id"]).get_indexer(pd.Index(relevant["query_id"]))
    position = pd.Index(doc_ids).get_indexer(pd.Index(relevant["doc_id"]))
    order = np.argsort(row, kind="stable")
    order = order[np.count_nonzero(row < 0) :]  # judgments of queries outside the split come first
    return row[order], position[order], relevant["relevance"].to_numpy()[order]


def mean_scores(scores: pd.DataFrame) -> dict[str, float]:
    """Return the mean of each metric over the queries, rounded to five decimals."""
    return {
        str(name): round(float(values.mean()), DECIMALS) for name, values in scores.drop(columns="query_id").items()
    }


def _hits(ranking: np.ndarray, row: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which judgments are found, and at which rank, counted from 0; sorted by row, then by rank."""
    hits, ranks = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    block = max(1, BLOCK // max(1, ranking.shape[1]))
    for start in range(0, len(row), block):
        part = slice(start, start + block)
        is_hit = (ranking[row[part]] == position[part, None]) & (position[part, None] >= 0)
        hit, rank = np.nonzero(is_hit)
        hits.append(hit + start)
        ranks.append(rank)
    hit, rank = np.concatenate(hits), np.concatenate(ranks)
    order = np.lexsort((rank, row[hit]))
    return hit[order], rank[order]


def _numbers(row: np.ndarray) -> np.ndarray:
    """Number the members of each row from 0; `row` is sorted."""
    return np.arange(len(row)) - np.searchsorted(row, row)


def _discounted_gain(row: np.ndarray, rank: np.ndarray, grade: np.ndarray, k: int, size: int) -> np.ndarray:
    """Return each query's sum of grades divided by the logarithm of their rank, (size,)."""
    is_top = rank < k
    return np.bincount(row[is_top], grade[is_top] / np.log2(rank[is_top] + 2), minlength=size)
