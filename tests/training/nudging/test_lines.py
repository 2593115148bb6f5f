"""Scores before and along a move are those of a search, whatever the size of a block."""

import numpy as np
import pytest
import torch

from retune.retrieval.exact import top_k
from retune.training.nudging import lines
from retune.training.nudging.lines import score_lines
from tests.support.nudging import made_up


@pytest.mark.parametrize("tile", [(64, 4096), (3, 64)])
def test_scores_are_those_of_a_search(tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "TILE", tile)
    data = made_up(0, dim=64)
    expected = [
        top_k(data.queries, vectors, len(vectors), device=torch.device("cpu"))
        for vectors in (data.documents, data.directions.vectors)
    ]
    for row, line in enumerate(score_lines(data.queries, data.documents, data.directions)):
        for found, (scores, positions) in zip(line, expected, strict=True):
            np.testing.assert_allclose(found[positions[row]], scores[row], atol=1e-6)


def test_equal_vectors_have_equal_scores_wherever_they_are() -> None:
    data = made_up(0, dim=64, copies=0)
    documents = np.concatenate([data.documents] * 15)  # 4,500 documents are two tiles
    for line in score_lines(data.queries, documents, data.directions):
        np.testing.assert_array_equal(line.scores, np.tile(line.scores[:300], 15))
