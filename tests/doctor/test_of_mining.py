from retune.doctor import thresholds
from retune.doctor.of_mining import mostly_fillers, negatives_above_positives
from retune.mining import outcome
from tests.support.patients import HEALTHY, changed


def test_mostly_random_negatives_are_found() -> None:
    state = changed("mined", "home", "negatives_from", to={"[2, 50)": 700, "random": 1300})
    (finding,) = mostly_fillers(state)
    assert (finding.about, finding.fact) == (
        "mine.home",
        "1,300 of 2,000 negatives (65%) are random documents.",
    )
    assert "almost as high as positives (0.10 and 0.50 at the median)" in finding.advice
    assert list(mostly_fillers(HEALTHY)) == []


def test_log_of_mine_warns_from_the_same_share_on() -> None:
    assert thresholds.MOST_FILLERS == outcome.MOST


def test_random_negatives_that_the_recipe_asks_for_are_none() -> None:
    assert list(mostly_fillers(changed("mined", "home", "negatives_from", to={"[0, end)": 2000}))) == []


def test_negatives_above_positives_are_found() -> None:
    (finding,) = negatives_above_positives(changed("mined", "home", "negatives_above_lowest_positive", to=0.101))
    assert finding.fact == "10.1% of the negatives score above their query's lowest positive."
    assert list(negatives_above_positives(HEALTHY)) == []
