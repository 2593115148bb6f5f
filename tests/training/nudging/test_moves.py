"""Variant m adds, variant n turns; documents that are not covered are unchanged, bit for bit."""

import math

import numpy as np
import pytest

from retune.training.nudging import moves
from retune.training.nudging.directions import Directions
from retune.training.nudging.moves import Variant, angles, move
from tests.support.nudging import made_up, unit

DEGREES_30 = 2 - 2 * math.cos(math.radians(30))
variants = pytest.mark.parametrize("variant", ["m", "n"])


def test_variant_m_adds_gamma_times_the_direction() -> None:
    documents, directions = np.float32([[1, 0], [0, 1]]), Directions(np.array([1]), np.float32([[0.6, 0.8]]))
    np.testing.assert_allclose(move(documents, directions, 0.5, "m"), [[1, 0], [0.3, 1.4]], rtol=1e-6)


def test_variant_n_turns_by_the_angle_and_stops_at_the_direction() -> None:
    documents, directions = np.float32([[1, 0], [1, 0]]), Directions(np.array([0]), np.float32([[0, 1]]))
    turned = move(documents, directions, DEGREES_30, "n")
    np.testing.assert_allclose(turned, [[math.cos(math.pi / 6), 0.5], [1, 0]], atol=1e-7)
    near = Directions(np.array([0]), np.float32([[math.cos(math.pi / 8), math.sin(math.pi / 8)]]))
    for gamma in (DEGREES_30, 2.0, 4.0):
        np.testing.assert_allclose(move(documents, near, gamma, "n")[0], near.vectors[0], atol=1e-7)


def test_variant_n_keeps_unit_vectors_in_the_plane_of_document_and_direction() -> None:
    data = made_up(0)
    covered, whole = data.directions.positions, angles(data.documents, data.directions)
    for degrees in (1, 30, 90):
        moved = move(data.documents, data.directions, 2 - 2 * math.cos(math.radians(degrees)), "n")
        np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, atol=2e-7)
        cosines = (moved[covered].astype(float) * data.documents[covered]).sum(axis=1)
        np.testing.assert_allclose(np.arccos(cosines), np.minimum(whole, math.radians(degrees)), atol=1e-4)
        left = (moved[covered].astype(float) * data.directions.vectors).sum(axis=1)
        np.testing.assert_allclose(left, np.cos(np.maximum(whole - math.radians(degrees), 0)), atol=1e-6)


@variants
def test_documents_that_are_not_covered_do_not_change(variant: Variant) -> None:
    data = made_up(1)
    fixed = np.setdiff1d(np.arange(len(data.documents)), data.directions.positions)
    moved = move(data.documents, data.directions, 0.7, variant)
    assert len(fixed) > 50
    assert moved[fixed].tobytes() == data.documents[fixed].tobytes()
    assert not np.isclose(moved, data.documents).all(axis=1)[data.directions.positions].any()


@variants
def test_gamma_0_changes_nothing(variant: Variant) -> None:
    data = made_up(1)
    moved = move(data.documents, data.directions, 0.0, variant)
    assert moved.tobytes() == data.documents.tobytes()
    assert moved is not data.documents


@variants
def test_blocks_do_not_change_the_result(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    data = made_up(2)
    whole = move(data.documents, data.directions, 0.3, variant), angles(data.documents, data.directions)
    monkeypatch.setattr(moves, "BLOCK", 7)
    assert move(data.documents, data.directions, 0.3, variant).tobytes() == whole[0].tobytes()
    assert angles(data.documents, data.directions).tobytes() == whole[1].tobytes()


def test_documents_at_their_direction_or_opposite_to_it_stay() -> None:
    documents = unit(np.random.default_rng(0).standard_normal((40, 16)))
    directions = Directions(np.arange(40), documents * np.repeat(np.float32([[1], [-1]]), 20, axis=0))
    np.testing.assert_allclose(angles(documents, directions), 0.0, atol=1e-7)
    for gamma in (1e-9, 0.1, 2.0, 4.0):
        np.testing.assert_allclose(move(documents, directions, gamma, "n"), documents, atol=1e-6)
