from dataclasses import replace

from retune.comparison.lineage import TunedModel
from retune.doctor.of_scores import bases_below_bm25, compressed_scores, small_test_sets
from tests.support.patients import HEALTHY, changed


def test_test_set_that_is_too_small_for_the_gain_is_found() -> None:
    (finding,) = small_test_sets(changed("measurements", 2, "mde", to=0.045))  # half of the gain is 0.03
    assert finding.about == "convert.home"
    assert finding.fact == (
        "1,000 test queries detect changes of tuned from 0.0450 on, which is more than half of its gain of 0.0600."
    )
    assert finding.advice == "Use about 2,250 test queries."  # 1000 * (0.045 / 0.03) ** 2
    assert list(small_test_sets(HEALTHY)) == []


def test_test_set_that_is_too_small_for_the_margin_is_found() -> None:
    (finding,) = small_test_sets(changed("measurements", 3, "word", to="no difference shown"))
    assert finding.fact.endswith("from 0.0200 on, which is more than the margin of 0.01.")
    assert finding.advice == "Use about 4,000 test queries."


def test_base_below_bm25_is_found() -> None:
    (finding,) = bases_below_bm25(changed("measurements", 0, "score", to=0.62))
    assert (finding.about, finding.fact) == ("fetch.base", "base scores 0.6000 on home, and bm25 0.6200.")
    assert list(bases_below_bm25(HEALTHY)) == []
    assert list(bases_below_bm25(changed("measurements", 0, "score", to=0.605))) == []  # by less than the margin


def test_system_that_is_better_than_a_base_is_not_taken_for_bm25() -> None:
    better = changed("measurements", 0, to={"model": "both", "dataset": "home", "queries": 1000, "score": 0.62})
    assert len(list(bases_below_bm25(replace(better, pair_scores={("both", "home"): {}})))) == 1
    assert list(bases_below_bm25(replace(better, pair_scores={("both", "home"): {"parts": ["bm25", "base"]}}))) == []


def test_first_model_of_a_system_is_no_base() -> None:
    system = TunedModel("bm25", "home", ("home",), {}, is_system=True)
    assert replace(HEALTHY, tuned_models=HEALTHY.tuned_models | {"both": system}).bases == ["base"]


def test_compressed_scores_are_found() -> None:
    (finding,) = compressed_scores(changed("pair_scores", ("base", "home"), "random_pairs", "p50", to=0.85))
    assert finding.about == "base"
    assert finding.fact == "The cosines of random pairs are 0.85 at the median on home."
    assert list(compressed_scores(HEALTHY)) == []
