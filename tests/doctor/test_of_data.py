from retune.doctor.of_data import cut_texts, leaks, unlike_queries
from tests.support.patients import HEALTHY, changed


def test_leaks_that_stay_are_found() -> None:
    state = changed("data", "home", "leaks", "train_queries", to=11)
    (finding,) = leaks(state)
    assert finding.about == "convert.home"
    assert finding.fact == "11 of 500 train queries leak a dev or test query."
    assert list(leaks(HEALTHY)) == []


def test_leaks_that_were_dropped_are_none() -> None:
    assert list(leaks(changed("data", "home", "leaks", to={"policy": "drop", "train_queries": 11}))) == []


def test_train_queries_of_another_length_are_found() -> None:
    for length in (101, 24):  # test queries have 50 characters
        (finding,) = unlike_queries(
            changed("data", "home", "splits", "train", "length", "characters", "p50", to=length)
        )
        assert finding.about == "finetune.tuned"
        assert f"home have {length} characters at the median, and test queries of home have 50." in finding.fact
    assert list(unlike_queries(changed("data", "home", "splits", "train", "length", "characters", "p50", to=99))) == []
    assert list(unlike_queries(HEALTHY)) == []


def test_cut_texts_of_a_base_are_found() -> None:
    (finding,) = cut_texts(changed("pair_scores", ("base", "home"), "share_truncated", "documents", to=0.75))
    assert (finding.about, finding.fact) == (
        "fetch.base",
        "75% of the documents of home are cut to the maximum length.",
    )
    assert "document_max_length" in finding.advice
    assert list(cut_texts(HEALTHY)) == []


def test_cut_texts_of_a_tuned_model_are_those_of_its_base() -> None:
    assert list(cut_texts(changed("pair_scores", ("tuned", "home"), "share_truncated", "queries", to=0.75))) == []
