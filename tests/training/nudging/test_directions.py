"""Directions are the normalised sums of training queries; coverage says which queries can gain by them."""

import numpy as np
import pytest

from retune.training.nudging import directions as module
from retune.training.nudging.directions import Directions, find_directions, is_covered
from retune.training.nudging.judgments import Judgments
from tests.support.nudging import unit

QUERIES = np.float32([[1, 0], [0, 1], [-1, 0], [0.6, 0.8]])


def test_direction_is_the_normalised_sum_of_the_queries_that_a_document_answers() -> None:
    found = find_directions(QUERIES, np.array([0, 1, 3, 1]), np.array([7, 7, 2, 5]))
    assert found.positions.tolist() == [2, 5, 7]
    np.testing.assert_allclose(found.vectors, [[0.6, 0.8], [0, 1], [0.5**0.5, 0.5**0.5]], rtol=1e-6)
    assert found.vectors.dtype == np.float32


def test_documents_outside_the_corpus_have_no_direction() -> None:
    assert find_directions(QUERIES, np.array([0, 1]), np.array([-1, 3])).positions.tolist() == [3]
    assert find_directions(QUERIES, np.array([0]), np.array([-1])).vectors.shape == (0, 2)


def test_queries_that_add_up_to_zero_give_no_direction() -> None:
    found = find_directions(QUERIES, np.array([0, 2, 1]), np.array([4, 4, 6]))
    assert found.positions.tolist() == [6]
    np.testing.assert_array_equal(found.vectors, [[0, 1]])


def test_repeated_judgment_counts_once() -> None:
    once, twice = (find_directions(QUERIES, np.array(rows), np.zeros(len(rows), int)) for rows in ([0, 1], [0, 1, 1]))
    np.testing.assert_array_equal(once.vectors, twice.vectors)


def test_many_pairs_of_small_integers_do_not_overflow() -> None:
    positions, rows = np.array([70_000], np.int32), np.array([60_000], np.int32)  # their product exceeds 32 bits
    found = find_directions(np.tile(QUERIES[:1], (60_001, 1)), rows, positions)
    assert found.positions.tolist() == [70_000]


def test_small_blocks_and_another_order_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, rows, positions = unit(rng.standard_normal((50, 8))), rng.integers(0, 50, 200), rng.integers(-1, 40, 200)
    whole, order = find_directions(queries, rows, positions), rng.permutation(200)
    monkeypatch.setattr(module, "BLOCK", 7)
    blocks = find_directions(queries, rows[order], positions[order])
    assert blocks.vectors.tobytes() == whole.vectors.tobytes()
    assert blocks.positions.tobytes() == whole.positions.tobytes()


def test_query_is_covered_if_one_of_its_documents_is() -> None:
    judged = Judgments(np.array([0, 0, 1, 2, 2]), np.array([3, 5, 3, -1, 6]), np.ones(5, int), 4)
    directions = Directions(np.array([5, 6]), np.zeros((2, 2), np.float32))
    assert is_covered(judged, directions).tolist() == [True, False, True, False]
