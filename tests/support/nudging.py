"""Small collections to nudge, and what a search finds after a move."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from retune.core.records import Split
from retune.evaluation.metrics import score_ranking
from retune.retrieval.exact import top_k
from retune.training.nudging.directions import Directions, find_directions
from retune.training.nudging.judgments import Judgments
from retune.training.nudging.moves import Variant, move

KS = [1, 3, 10]


@dataclass(frozen=True)
class Collection:
    documents: np.ndarray
    directions: Directions
    queries: np.ndarray
    judgments: Judgments

    def measure(self, gamma: float, variant: Variant) -> dict[str, float]:
        """Move the documents, search them, and return the mean of each metric, as the evaluation does."""
        moved = move(self.documents, self.directions, gamma, variant)
        _, ranking = top_k(self.queries, moved, max(KS), device=torch.device("cpu"))
        doc_ids = pd.Series([f"d{position}" for position in range(len(self.documents))])
        scores = score_ranking(ranking, doc_ids, self._split(), KS)
        return {str(key): float(values.mean()) for key, values in scores.drop(columns="query_id").items()}

    def _split(self) -> Split:
        judged = self.judgments
        outside = [f"gone{number}" for number in range(len(judged.rows))]
        doc_ids = np.where(judged.positions < 0, outside, [f"d{position}" for position in judged.positions])
        qrels = {"query_id": [f"q{row}" for row in judged.rows], "doc_id": doc_ids, "relevance": judged.grades}
        queries = pd.DataFrame({"query_id": [f"q{row}" for row in range(judged.num_queries)]})
        return Split(queries, pd.DataFrame(qrels))


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def made_up(
    seed: int, *, documents: int = 300, dim: int = 8, queries: int = 20, relevant: int = 3, copies: int = 20
) -> Collection:
    """Return unit vectors around few topics, some of them copies of others; a document's queries are off to one side.

    Every dev query has graded relevant documents, some of them outside the corpus.
    """
    rng = np.random.default_rng(seed)
    vectors = unit(
        rng.standard_normal((10, dim))[rng.integers(0, 10, documents)] + rng.standard_normal((documents, dim))
    )
    vectors[rng.choice(documents, copies, replace=False)] = vectors[rng.choice(documents, copies)]
    meant = vectors + 0.8 * unit(rng.standard_normal((documents, dim)))  # what the queries of a document ask
    asked = rng.integers(0, documents, documents)  # by each training query
    train = unit(meant[asked] + 0.3 * unit(rng.standard_normal((documents, dim))))
    rows = np.repeat(np.arange(queries), relevant)
    positions = np.stack([rng.choice(documents, relevant, replace=False) for _ in range(queries)])
    centres = 2 * meant[positions[:, 0]] + meant[positions].mean(axis=1)
    dev = unit(centres / 3 + 0.3 * unit(rng.standard_normal((queries, dim))))
    found = np.where(rng.random(len(rows)) < 0.1, -1, positions.ravel())
    directions = find_directions(train, np.arange(documents), asked)
    return Collection(vectors, directions, dev, Judgments(rows, found, rng.integers(1, 4, len(rows)), queries))
