"""Search against a plain sort."""

import numpy as np

from retune.search import top_k


def test_equal_to_a_full_stable_sort() -> None:
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((7, 8), dtype=np.float32)
    documents = rng.standard_normal((50, 8), dtype=np.float32)
    scores, positions = top_k(queries, documents, 10)
    expected = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ documents.T, expected, axis=1), rtol=1e-5)


def test_equal_scores_keep_corpus_order() -> None:
    documents = np.ones((6, 4), dtype=np.float32)
    _, positions = top_k(np.ones((2, 4), dtype=np.float32), documents, 6)
    assert positions.tolist() == [[0, 1, 2, 3, 4, 5]] * 2


def test_k_beyond_the_corpus_returns_the_corpus() -> None:
    scores, positions = top_k(np.ones((1, 4), dtype=np.float32), np.ones((3, 4), dtype=np.float32), 100)
    assert scores.shape == positions.shape == (1, 3)
