"""The chosen step size, against moving, searching and scoring at many step sizes, and on data with known optima."""

import numpy as np
import pytest

from retune.core.errors import InputError
from retune.training.nudging.directions import Directions
from retune.training.nudging.gamma import choose_gamma
from retune.training.nudging.grid import GAMMAS
from retune.training.nudging.judgments import Judgments
from retune.training.nudging.moves import Variant
from tests.support.nudging import KS, Collection, made_up, unit

METRICS = [f"{name}_at_{k}" for name in ("ndcg", "map", "recall", "precision", "mrr", "hit") for k in KS]
SHAPES = [
    {"documents": 300, "dim": 8, "relevant": 3},
    {"documents": 40, "dim": 3, "relevant": 1, "copies": 15},
    {"documents": 1200, "dim": 32, "relevant": 8, "queries": 70},
    {"documents": 5, "dim": 4, "relevant": 4, "copies": 2},
]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape['documents']} documents")


def choose(data: Collection, metric: str, variant: Variant):
    return choose_gamma(data.documents, data.directions, data.queries, data.judgments, metric, variant)


def line_up(starts: list[tuple[float, float]], slopes: dict[int, float], *relevant: int) -> Collection:
    """Return documents in the plane, some of which move along the second axis, which is the only query."""
    documents = np.array(starts, dtype=np.float32)
    vectors = np.zeros((len(slopes), 2), np.float32)
    vectors[:, 1] = list(slopes.values())
    directions = Directions(np.array(list(slopes), dtype=int), vectors)
    judged = Judgments(np.zeros(len(relevant), int), np.array(relevant), np.ones(len(relevant), int), 1)
    return Collection(documents, directions, np.float32([[0, 1]]), judged)


@each_shape
@pytest.mark.parametrize("seed", [0, 1])
def test_no_step_of_variant_m_scores_better_than_the_chosen_one(seed: int, shape: dict) -> None:
    data, rng = made_up(seed, **shape), np.random.default_rng(seed)
    base = data.measure(0.0, "m")
    others = [data.measure(gamma, "m") for gamma in [*rng.uniform(0, 2, 30), *rng.exponential(5, 5)]]
    for metric in METRICS:
        choice = choose(data, metric, "m")
        assert choice.base_score == pytest.approx(base[metric], abs=1e-12)
        assert choice.score == pytest.approx(data.measure(choice.gamma, "m")[metric], abs=1e-9)
        assert choice.score >= max(other[metric] for other in others) - 1e-9


@each_shape
def test_angle_chosen_in_variant_n_is_the_best_of_all(shape: dict) -> None:
    data = made_up(2, **shape)
    measured = {gamma: data.measure(gamma, "n") for gamma in GAMMAS}
    for metric in METRICS[2::3]:  # at 10
        choice = choose(data, metric, "n")
        best = max(scores[metric] for scores in measured.values())
        assert choice.score == pytest.approx(best, abs=1e-9)
        assert choice.score == pytest.approx(measured[choice.gamma][metric], abs=1e-9)
        assert choice.base_score == pytest.approx(measured[0.0][metric], abs=1e-12)


@pytest.mark.parametrize("variant", ["m", "n"])
def test_data_of_these_tests_can_be_improved(variant: Variant) -> None:
    choice = choose(made_up(1), "ndcg_at_10", variant)
    assert choice.gamma > 0.01
    assert choice.score > choice.base_score + 0.02
    assert choice.candidates > 80


def test_gamma_is_in_the_middle_between_the_crossings() -> None:
    # scores 0.8, 0.2 + gamma (relevant) and -1.6 + 3 gamma: the relevant document is first from 0.6 to 0.9
    data = line_up([(0.0, 0.8), (0.0, 0.2), (0.0, -1.6)], {1: 1.0, 2: 3.0}, 1)
    choice = choose(data, "mrr_at_3", "m")
    assert choice.gamma == pytest.approx(0.75)
    assert (choice.score, choice.base_score, choice.tied, choice.decided_by) == (1.0, 0.5, 1, "metric")


def test_smaller_step_is_chosen_among_equals() -> None:
    # as above, and another relevant document with score -4 + 5 gamma is first from 1.2 on
    data = line_up([(0.0, 0.8), (0.0, 0.2), (0.0, -1.6), (0.0, -4.0)], {1: 1.0, 2: 3.0, 3: 5.0}, 1, 3)
    choice = choose(data, "hit_at_1", "m")
    assert choice.gamma == pytest.approx(0.75)
    assert (choice.score, choice.tied, choice.decided_by) == (1.0, 2, "gamma")


def test_last_interval_is_left_at_twice_the_last_crossing() -> None:
    choice = choose(line_up([(0.6, 0.8), (0.8, 0.6)], {1: 1.0}, 1), "hit_at_1", "m")  # crossing at 0.2
    assert choice.gamma == pytest.approx(0.4)


def test_any_step_parts_equal_documents() -> None:
    data = line_up([(0.6, 0.8), (0.6, 0.8)], {1: 1.0}, 1)  # the first comes first until the second moves
    choice = choose(data, "hit_at_1", "m")
    assert (choice.gamma, choice.score, choice.base_score) == (0.5, 1.0, 0.0)


def test_equal_documents_that_move_alike_keep_corpus_order() -> None:
    for relevant, score in [(1, 1.0), (2, 0.0)]:
        data = line_up([(0.6, 0.8), (0.8, 0.6), (0.8, 0.6)], {1: 1.0, 2: 1.0}, relevant)
        for variant in ("m", "n"):
            assert choose(data, "hit_at_1", variant).score == score == data.measure(0.5, variant)["hit_at_1"]


@pytest.mark.parametrize("variant", ["m", "n"])
def test_nothing_moves_where_nothing_helps(variant: Variant) -> None:
    for slopes in ({0: 1.0}, {1: 1.0}, {}):  # the relevant document is first already, or the other moves, or none
        choice = choose(line_up([(0.6, 0.8), (0.8, 0.6)], slopes, 0), "ndcg_at_2", variant)
        assert (choice.gamma, choice.score, choice.base_score) == (0.0, 1.0, 1.0)
        assert (choice.tied > 1, choice.decided_by) == (True, "gamma")


def test_ndcg_breaks_ties() -> None:
    # hit@3 is 1 throughout; the relevant document rises to the second rank at 0.1, to the first at 0.2
    choice = choose(line_up([(0.6, 0.8), (0.7, 0.7), (0.8, 0.6)], {2: 1.0}, 2), "hit_at_3", "m")
    assert choice.gamma == pytest.approx(0.4)
    assert (choice.tied, choice.decided_by) == (4, "ndcg")  # 0, and 0 to 0.1, 0.1 to 0.2, and above


def test_interval_that_rounding_would_decide_does_not_win() -> None:
    # the relevant document is first only between 0.2 and 0.2 + 1e-7
    data = line_up([(0.0, 0.8), (0.0, 0.6), (0.0, 0.4 - 1e-7)], {1: 1.0, 2: 2.0}, 1)
    choice = choose(data, "hit_at_1", "m")
    assert (choice.gamma, choice.score, choice.candidates) == (0.0, 0.0, 3)  # 0, and before and after that interval


def test_crossings_far_away_do_not_make_the_step_huge() -> None:
    crossing_at_200_000 = line_up([(0.0, 0.8), (0.0, 0.6)], {1: 1e-6}, 1)
    assert choose(crossing_at_200_000, "hit_at_1", "m").gamma == 0.0


@pytest.mark.parametrize("variant", ["m", "n"])
def test_query_whose_documents_are_outside_the_corpus_scores_zero(variant: Variant) -> None:
    data = made_up(3)
    data.judgments.positions[data.judgments.rows < 5] = -1
    choice = choose(data, "ndcg_at_10", variant)
    assert choice.score == pytest.approx(data.measure(choice.gamma, variant)["ndcg_at_10"], abs=1e-9)
    data.judgments.positions[:] = -1
    assert choose(data, "ndcg_at_10", variant).score == 0.0


@pytest.mark.parametrize("variant", ["m", "n"])
def test_choice_does_not_depend_on_the_order_of_judgments(variant: Variant) -> None:
    data = made_up(4)
    order = np.random.default_rng(0).permutation(len(data.judgments.rows))
    judged = data.judgments
    shuffled = Judgments(judged.rows[order], judged.positions[order], judged.grades[order], judged.num_queries)
    other = choose_gamma(data.documents, data.directions, data.queries, shuffled, "map_at_10", variant)
    assert other.gamma == choose(data, "map_at_10", variant).gamma
    assert repr(choose(data, "map_at_10", variant)) == repr(choose(data, "map_at_10", variant))


@pytest.mark.parametrize("variant", ["m", "n"])
def test_documents_parallel_or_opposite_to_their_direction_give_no_nan(variant: Variant) -> None:
    documents = unit(np.random.default_rng(0).standard_normal((20, 4)))
    directions = Directions(np.arange(4), documents[:4] * np.float32([[1], [-1], [1], [-1]]))
    judged = Judgments(np.arange(4), np.arange(4), np.ones(4, int), 4)
    data = Collection(documents, directions, unit(documents[:4] + 0.5), judged)
    choice = choose(data, "ndcg_at_10", variant)
    assert np.isfinite([choice.gamma, choice.score]).all()
    assert choice.score == pytest.approx(data.measure(choice.gamma, variant)["ndcg_at_10"], abs=1e-9)


def test_wrong_input_is_refused() -> None:
    data = made_up(0)
    with pytest.raises(InputError, match="expected a metric such as ndcg_at_10"):
        choose(data, "ndcg", "m")
    with pytest.raises(InputError, match="expected judgments of 2 dev queries, got those of 20"):
        choose_gamma(data.documents, data.directions, data.queries[:2], data.judgments, "hit_at_1", "m")
    data.judgments.rows[data.judgments.rows == 1] = 0
    with pytest.raises(InputError, match="dev query 1: expected a relevant document, got none"):
        choose(data, "hit_at_1", "m")
    none = Judgments(*(np.zeros(0, int) for _ in range(3)), 0)
    with pytest.raises(InputError, match="expected dev queries, got none"):
        choose_gamma(data.documents, data.directions, data.queries[:0], none, "hit_at_1", "m")
