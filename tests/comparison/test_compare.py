"""Gain, forgetting and verdict words, on scores small enough to check by eye."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retune.comparison.compare import by_model, gain_kept, summarise
from retune.comparison.lineage import TunedModel
from retune.comparison.verdict import Measurement
from retune.core.errors import InputError
from retune.core.records import read_table, write_table
from retune.report.plots import plot_data
from tests.support.comparisons import QUERIES, SCORES, TUNED, Scores, compared, concluded, write_project, write_scores


def noisy(mean: float, spread: float, count: int = 200) -> list[float]:
    """Scores around a mean, the same ones every time."""
    return (mean + spread * np.random.default_rng(5).uniform(-1.0, 1.0, count)).tolist()


def measurement(found, dataset: str, model: str = "tuned") -> Measurement:
    return next(item for item in found.comparison.of(model) if item.dataset == dataset)


def write_history(folder: Path, model: str, rows: str = "") -> None:
    path = folder / f"metrics/train/{model}.tsv"
    path.parent.mkdir(parents=True)
    path.write_text(f"global_step\tloss\tlr\tdev_ndcg_at_10\n{rows}")


def test_gain_is_at_home_and_forgetting_elsewhere(tmp_path: Path) -> None:
    # home 0.5 -> 0.7; far as it was; farther 0.6 -> 0.5, lost 0.1
    assert summarise(compared(tmp_path).comparison) == {
        "gain": {"tuned": 0.2},
        "forgetting_mean": {"tuned": 0.05},
        "forgetting_worst": {"tuned": 0.1},
    }


def test_forgetting_is_absent_without_another_dataset(tmp_path: Path) -> None:
    scores = {model: {"home": datasets["home"]} for model, datasets in SCORES.items()}
    found = compared(tmp_path, scores)
    assert summarise(found.comparison) == {"gain": {"tuned": 0.2}, "forgetting_mean": {}, "forgetting_worst": {}}
    assert found.verdicts[0].sentence.endswith("; forgetting was not measured")


def test_words_say_what_was_shown(tmp_path: Path) -> None:
    found = compared(tmp_path)
    assert (measurement(found, "home").word, measurement(found, "farther").word) == ("improved", "forgot")
    far = measurement(found, "far")  # two queries changed, by 0.01 each: p = 1, and the interval is within 0.001 of 0
    assert (far.p, far.word, far.better, far.worse) == (1.0, "non-inferior", 1, 1)
    assert far.low is not None
    assert -0.001 < far.low < 0
    assert (found.verdicts[0].word, found.verdicts[0].backward_transfer) == ("forgot", -0.05)


def test_word_at_home_is_never_about_the_margin(tmp_path: Path) -> None:
    scores: Scores = {
        "base": {"home": [0.5] * QUERIES, "far": [0.5] * QUERIES},
        "tuned": {"home": [0.5] * QUERIES, "far": [0.495] * QUERIES},
        "worse": {"home": [0.495] * QUERIES, "far": [0.5] * QUERIES},
    }
    write_history(tmp_path, "worse")
    found = compared(tmp_path, scores, TUNED | {"worse": TunedModel("base", "home", (), {})})
    assert measurement(found, "home").word == "no difference shown"
    assert measurement(found, "far").word == "non-inferior"  # significantly worse, and shown to be within the margin
    assert measurement(found, "home", "worse").word == "worse"


def test_significant_change_that_rounds_to_zero_is_neither_worse_nor_forgotten(tmp_path: Path) -> None:
    values = [0.5] * QUERIES
    better = [value + 4e-6 for value in values]  # every query, but less than the fifth decimal
    scores: Scores = {"base": {"home": values, "far": values}, "tuned": {"home": better, "far": better}}
    found = compared(tmp_path, scores, margin=0.0)
    assert [(item.change, item.p_holm, item.word) for item in found.comparison.of("tuned")] == [
        (0.0, 0.001, "no difference shown"),
        (0.0, 0.001, "no difference shown"),
    ]


def test_loss_that_may_exceed_the_margin_is_no_non_inferiority(tmp_path: Path) -> None:
    far = noisy(0.5, 0.3)
    shifted = (np.array(far) + np.random.default_rng(6).choice([-0.2, 0.2], 200)).tolist()
    scores = {"base": {"home": far, "far": far}, "tuned": {"home": far, "far": shifted}}
    found = measurement(compared(tmp_path, scores), "far")
    assert found.low is not None
    assert found.low < -0.01
    assert found.word == "no difference shown"


def test_family_of_the_correction_is_all_tuned_models_on_all_datasets(tmp_path: Path) -> None:
    found = compared(tmp_path)
    # p: home and farther 1/2001 (no flip of 2,000 of 40 equal differences reaches it), far 1; Holm times 3, 2, 1
    assert [measurement(found, dataset).p for dataset in ("home", "farther", "far")] == [0.0005, 0.0005, 1.0]
    assert [measurement(found, dataset).p_holm for dataset in ("home", "farther", "far")] == [0.0015, 0.0015, 1.0]


def test_no_effect_is_called_detectable_where_all_queries_changed_alike(tmp_path: Path) -> None:
    scores = SCORES | {"tuned": SCORES["base"]}
    found = measurement(compared(tmp_path, scores), "home")
    assert (found.change, found.p, found.mde) == (0.0, 1.0, None)


@pytest.mark.slow
def test_statistics_are_withheld_below_thirty_queries(tmp_path: Path) -> None:
    few = {model: {name: values[:29] for name, values in datasets.items()} for model, datasets in SCORES.items()}
    found = compared(tmp_path / "few", few)
    home = measurement(found, "home")
    assert (home.change, home.better, home.worse) == (0.2, 29, 0)
    assert (home.p, home.p_holm, home.low, home.mde, home.score_low) == (None,) * 5
    assert (home.word, home.reason) == ("withheld", "29 test queries are fewer than the 30 that statistics need")
    enough = {model: {name: values[:30] for name, values in datasets.items()} for model, datasets in SCORES.items()}
    assert measurement(compared(tmp_path / "enough", enough), "home").word == "improved"


def test_model_that_is_not_tuned_has_a_score_and_no_change(tmp_path: Path) -> None:
    scores = SCORES | {"bm25": SCORES["base"]}
    found = compared(tmp_path, scores)
    bm25 = measurement(found, "home", "bm25")
    assert (bm25.score, bm25.base, bm25.change, bm25.p, bm25.word) == (0.5, None, None, None, None)
    assert bm25.score_low == 0.5
    assert ("bm25", "home") not in found.pair_scores  # no vectors, no cosines


@pytest.mark.slow
def test_share_of_the_gain_that_is_kept_is_of_the_best_model_with_the_same_base_and_home(tmp_path: Path) -> None:
    scores = SCORES | {"guarded": SCORES["tuned"] | {"home": [0.65] * QUERIES}}
    tuned = TUNED | {"guarded": TunedModel("base", "home", (), {})}
    write_history(tmp_path, "guarded")
    found = compared(tmp_path, scores, tuned)
    assert [gain_kept(found.comparison, model) for model in tuned] == [1.0, 0.75]
    assert gain_kept(compared(tmp_path / "alone").comparison, "tuned") is None
    system = TUNED | {"guarded": TunedModel("base", "home", (), {}, is_system=True)}
    beside = compared(tmp_path / "system", scores, system).comparison
    assert [gain_kept(beside, model) for model in system] == [None, None]  # a system is no milder tuning


def test_histories_include_that_of_a_reranker_which_is_not_evaluated_itself(tmp_path: Path) -> None:
    scores = SCORES | {"reranked": SCORES["tuned"]}
    system = TunedModel("tuned", "home", (), {}, is_system=True, trained_parts=("tuned", "reranker"))
    write_history(tmp_path, "reranker", "3\t0.2\t0.001\t0.5\n")
    found = compared(tmp_path, scores, TUNED | {"reranked": system})
    assert list(dict.fromkeys(row["model"] for row in found.histories)) == ["tuned", "reranker"]


def test_tables_for_dvc(tmp_path: Path) -> None:
    found = compared(tmp_path)
    assert by_model(found.comparison)["tuned"] == {"home": 0.7, "far": 0.4, "farther": 0.5}
    plots = plot_data(found)
    assert plots["forgetting"][5] == {"model": "tuned", "dataset": "farther", "score": 0.5, "change": -0.1}
    assert plots["scores"][0] == {"measurement": "base on home", "score": 0.5, "low": 0.5, "high": 0.5}
    assert plots["frontier"] == [{"model": "tuned", "gain": 0.2, "worst_change_elsewhere": -0.1}]
    assert plots["dev"] == [{"model": "tuned", "global_step": 2, "dev": 0.61}]


def test_same_scores_give_the_same_numbers(tmp_path: Path) -> None:
    scores = {"base": {"home": noisy(0.5, 0.3)}, "tuned": {"home": noisy(0.52, 0.2)}}
    assert compared(tmp_path, scores).comparison.measurements == compared(tmp_path, scores).comparison.measurements


@pytest.mark.slow
def test_order_of_the_queries_is_of_no_account(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    before = concluded(inputs).comparison.measurements
    write_scores(inputs.scores / "tuned/far.parquet", SCORES["tuned"]["far"][::-1], [f"q{n}" for n in range(40)][::-1])
    assert concluded(inputs).comparison.measurements == before


def test_missing_cell_is_named(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    (inputs.scores / "tuned/far.parquet").unlink()
    with pytest.raises(InputError, match=r"scores/tuned/far.parquet: expected the scores of tuned on far, found none"):
        concluded(inputs)


def test_metric_that_was_not_measured_is_named(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    with pytest.raises(InputError, match=r"home.parquet: expected 'map_at_5', got ndcg_at_10, recall_at_10; add its k"):
        concluded(inputs, metric="map_at_5")


def test_metric_of_a_reference_is_read_on_its_data_set_alone(tmp_path: Path) -> None:
    # as map without a cut, which only a data set of candidate lists has
    inputs = write_project(tmp_path, SCORES)
    for model in SCORES:
        path = inputs.scores / model / "far.parquet"
        write_table(path, read_table(path).assign(map=0.25))
    given = {"dataset": "far", "name": "others", "values": {"map": 0.6}}
    assert [table.scores.keys() for table in concluded(inputs, references=[given]).tables] == [
        {"ndcg_at_10"},
        {"ndcg_at_10", "map"},
        {"ndcg_at_10"},
    ]


def test_models_measured_on_different_queries_are_refused(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    ids = [f"q{n}" for n in range(QUERIES - 1)]
    write_scores(inputs.scores / "tuned/home.parquet", SCORES["tuned"]["home"], [*ids, "other"])
    with pytest.raises(
        InputError,
        match="home: tuned and base were evaluated on different queries, 2 of which only one of them has, first: ",
    ):
        concluded(inputs)


def test_query_without_a_score_is_named(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    values = [*SCORES["tuned"]["home"][:-1], float("nan")]
    write_scores(inputs.scores / "tuned/home.parquet", values)
    with pytest.raises(
        InputError, match=r"tuned/home.parquet: expected a score for every query, got none for 1, first: 'q39'"
    ):
        concluded(inputs)


def test_query_that_is_there_twice_is_named(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    ids = [f"q{n}" for n in range(QUERIES - 1)]
    write_scores(inputs.scores / "tuned/home.parquet", SCORES["tuned"]["home"], [*ids, "q3"])
    with pytest.raises(InputError, match=r"tuned/home.parquet: expected each query once, got 'q3' twice"):
        concluded(inputs)


def test_guard_without_test_queries_is_refused(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    for model in SCORES:
        write_scores(inputs.scores / model / "far.parquet", [])
    with pytest.raises(InputError, match=r"base/far.parquet: expected scores of test queries, got none; give far some"):
        concluded(inputs)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("data/runs/tuned/home.trec", "expected a run file, found none; run dvc repro eval"),
        ("metrics/pair_scores/base/far.json", "expected the pair scores of base, found none; run dvc repro eval"),
        ("metrics/train/tuned.tsv", "expected the history of tuned, found none; run dvc repro finetune@tuned"),
        ("data/datasets/far/test/queries.parquet", "expected a Parquet file, found none"),
        ("data/datasets/far/corpus.parquet", "expected a corpus, found none"),
    ],
)
def test_missing_file_is_named(path: str, line: str, tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    (tmp_path / path).unlink()
    with pytest.raises(InputError, match=f"{path}: {line}"):
        concluded(inputs)


def test_scores_of_queries_that_the_test_split_lacks_are_refused(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    path = inputs.datasets / "far/test/queries.parquet"
    pd.read_parquet(path)[2:].to_parquet(path)
    with pytest.raises(InputError, match=r"far/test: expected the queries .*, got no 'q0' and 1 more; run dvc repro"):
        concluded(inputs)


def test_stale_cells_are_not_read(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    write_scores(inputs.scores / "removed/home.parquet", [float("nan")])
    assert {item.model for item in concluded(inputs).comparison.measurements} == {"base", "tuned"}
