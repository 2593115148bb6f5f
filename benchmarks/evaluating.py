"""Time of scoring rankings: ndcg, map, recall, precision, mrr and hit at six cut-offs, graded, beside pytrec_eval.

    python -m benchmarks.evaluating

100,000 made-up queries with 100 results each, of a million documents; four graded documents a query, about half of them
found. pytrec_eval takes the same judgments and rankings as Python dictionaries, whose making is not counted. It has no
cut-off for the reciprocal rank, so it computes one where we compute six.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytrec_eval

import stages  # noqa: F401  puts src/ on the path
from benchmarks.machine import write_results
from retune.core.records import Split
from retune.evaluation.metrics import score_ranking

QUERIES, DEPTH, DOCUMENTS, RELEVANT = 100_000, 100, 1_000_000, 4
KS = [1, 3, 5, 10, 25, 100]
MEASURES = ("ndcg_cut", "map_cut", "recall", "P", "success")
SAMPLES = 3
Qrels = dict[str, dict[str, int]]


def main() -> None:
    """Measure, print and write the results."""
    doc_ids = pd.Series([f"d{number}" for number in range(DOCUMENTS)])
    ranking, split = made_up(doc_ids, QUERIES, DEPTH)
    ours = _seconds(lambda: score_ranking(ranking, doc_ids, split, KS))
    qrels, run = as_dictionaries(ranking, doc_ids, split)
    cuts = ",".join(map(str, KS))
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {f"{name}.{cuts}" for name in MEASURES} | {"recip_rank"})
    peer = _seconds(lambda: evaluator.evaluate(run))
    print(f"{QUERIES:,} queries x {DEPTH} results: {ours:.2f} s, pytrec_eval {peer:.2f} s")
    case = {"ours": round(ours, 3), "peer": round(peer, 3), "ratio": round(peer / ours, 2), "unit": "s"}
    write_results("evaluating", [{"name": "score_100000_queries_vs_pytrec_eval"} | case])


def made_up(doc_ids: pd.Series, num_queries: int, depth: int) -> tuple[np.ndarray, Split]:
    """Return rankings and judgments: each query has relevant documents, half of them among those found.

    Args:
        doc_ids: The corpus's.
        num_queries: Queries.
        depth: Documents found for each.

    Returns:
        Document positions, (queries, depth), and the split.
    """
    rng = np.random.default_rng(13)
    starts = rng.integers(0, len(doc_ids) - 2 * depth, num_queries)
    ranking = starts[:, None] + rng.permutation(depth)[None, :]
    offsets = np.stack([rng.choice(2 * depth, RELEVANT, replace=False) for _ in range(num_queries)])
    query_ids = np.array([f"q{number}" for number in range(num_queries)])
    qrels = pd.DataFrame(
        {
            "query_id": np.repeat(query_ids, RELEVANT),
            "doc_id": doc_ids.to_numpy()[(starts[:, None] + offsets).ravel()],
            "relevance": rng.integers(1, 4, num_queries * RELEVANT),
        }
    )
    return ranking, Split(pd.DataFrame({"query_id": query_ids}), qrels)


def as_dictionaries(ranking: np.ndarray, doc_ids: pd.Series, split: Split) -> tuple[Qrels, dict[str, dict[str, float]]]:
    """Return judgments and rankings, as strictly falling scores, as pytrec_eval takes them."""
    qrels: Qrels = {query_id: {} for query_id in split.queries["query_id"]}
    for query_id, doc_id, grade in split.qrels.itertuples(index=False, name=None):
        qrels[query_id][doc_id] = grade
    names = doc_ids.to_numpy()[ranking]
    run = {
        query_id: {doc_id: float(-rank) for rank, doc_id in enumerate(row)}
        for query_id, row in zip(qrels, names, strict=True)
    }
    return qrels, run


def _seconds(call: Callable[[], object]) -> float:
    """Return the median time of some calls."""
    taken = []
    for _ in range(SAMPLES):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
