"""Metrics from ranks are those of the evaluation."""

import numpy as np
import pandas as pd
import pytest

from retune.core.records import Split
from retune.evaluation.metrics import METRICS, score_ranking
from retune.training.nudging.judgments import Judgments, by_query
from retune.training.nudging.rank_metrics import score_ranks


@pytest.mark.parametrize("outside", [0, 2, 5])
def test_every_metric_is_that_of_score_ranking(outside: int) -> None:
    rng, grades = np.random.default_rng(outside), np.array([1, 3, 2, 1, 2])
    positions = np.where(np.arange(5) < outside, -1, np.arange(5))
    (relevant,) = by_query(Judgments(np.zeros(5, int), positions, grades, 1))
    rankings = np.stack([rng.permutation(12) for _ in range(50)])
    doc_ids = pd.Series([f"d{position}" for position in range(12)]).replace({f"d{n}": f"x{n}" for n in range(outside)})
    queries = pd.DataFrame({"query_id": [f"q{row}" for row in range(50)]})
    qrels = pd.DataFrame({"query_id": np.repeat(queries["query_id"], 5), "doc_id": [f"d{n}" for n in range(5)] * 50})
    expected = score_ranking(rankings, doc_ids, Split(queries, qrels.assign(relevance=np.tile(grades, 50))), [1, 3, 20])
    ranks = np.argsort(rankings, axis=1)[:, relevant.positions]
    for name in METRICS:
        for k in (1, 3, 20):
            scores = score_ranks(np.minimum(ranks, k), relevant, name, k)
            np.testing.assert_allclose(scores, expected[f"{name}_at_{k}"], atol=1e-12)
