"""Gain, forgetting and the report, on scores small enough to check by eye."""

import json
from pathlib import Path

import pandas as pd
import pytest

from retune.comparison import by_model, compare, plot_data
from retune.errors import InputError
from retune.files import write_json
from retune.lineage import Run
from retune.records import write_table
from retune.report import heatmap_svg, markdown

SCORES = {
    "base": {"home": [0.2, 0.4], "far": [0.5, 0.5], "farther": [0.6, 0.8]},
    "tuned": {"home": [0.6, 0.4], "far": [0.4, 0.5], "farther": [0.9, 0.7]},
}
DATASETS = ["home", "far", "farther"]
RUNS = {"tuned": Run("base", "home")}


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    for model, datasets in SCORES.items():
        for dataset, values in datasets.items():
            scores = pd.DataFrame({"query_id": ["a", "b"], "ndcg_at_10": values})
            write_table(tmp_path / "scores" / model / f"{dataset}.parquet", scores)
            write_json(tmp_path / "metrics" / model / f"{dataset}.json", {"ndcg_at_10": round(sum(values) / 2, 5)})
    return tmp_path


def result(cells: Path, datasets: list[str] = DATASETS, metric: str = "ndcg_at_10"):
    return compare(cells / "metrics", cells / "scores", ["base", "tuned"], datasets, RUNS, metric)


def test_gain_is_at_home_and_forgetting_elsewhere(cells: Path) -> None:
    # home 0.3 -> 0.5; far 0.5 -> 0.45, lost 0.05; farther 0.7 -> 0.8, lost -0.1
    assert result(cells).summary == {
        "gain": {"tuned": 0.2},
        "forgetting_mean": {"tuned": -0.025},
        "forgetting_worst": {"tuned": 0.05},
    }


def test_forgetting_is_absent_without_another_dataset(cells: Path) -> None:
    assert result(cells, ["home"]).summary == {"gain": {"tuned": 0.2}, "forgetting_mean": {}, "forgetting_worst": {}}
    assert "| not measured | not measured |" in markdown(result(cells, ["home"]), "x.svg")


def test_changed_queries_are_counted(cells: Path) -> None:
    home = next(cell for cell in result(cells).of("tuned") if cell.is_home)
    assert (home.better, home.worse) == (1, 0)


def test_tables_for_dvc(cells: Path) -> None:
    assert by_model(result(cells))["tuned"] == {"home": 0.5, "far": 0.45, "farther": 0.8}
    plots = plot_data(result(cells))
    assert plots["forgetting"][4] == {"model": "tuned", "dataset": "far", "score": 0.45, "change": -0.05}
    assert plots["scores"][0] == {"cell": "base on home", "score": 0.3}


def test_report_shows_scores_changes_and_the_picture(cells: Path) -> None:
    report = markdown(result(cells), "forgetting.svg")
    assert "| `base` | 0.3000 | 0.5000 | 0.7000 |" in report
    assert "| `tuned` | **0.5000 (+0.2000)** | 0.4500 (-0.0500) | 0.8000 (+0.1000) |" in report
    assert "| `tuned` | `base` | home | +0.2000 | -0.0250 | +0.0500 | 1 / 0 |" in report
    assert "](forgetting.svg)" in report


def test_heatmap_shows_every_cell(cells: Path) -> None:
    drawing = heatmap_svg(result(cells))
    assert drawing.startswith("<svg")
    for label in ("0.5000 (+0.2000)", "0.4500 (-0.0500)", "0.7000"):
        assert label in drawing


def test_missing_cell_is_named(cells: Path) -> None:
    (cells / "metrics/tuned/far.json").unlink()
    with pytest.raises(InputError, match=r"metrics/tuned/far.json: expected the scores of tuned on far, found none"):
        result(cells)


def test_metric_that_was_not_measured_is_named(cells: Path) -> None:
    with pytest.raises(InputError, match=r"home.json: expected 'map_at_5', got ndcg_at_10; add its k to eval.ks"):
        result(cells, metric="map_at_5")


def test_models_measured_on_different_queries_are_refused(cells: Path) -> None:
    path = cells / "scores/tuned/home.parquet"
    write_table(path, pd.read_parquet(path).assign(query_id=["a", "c"]))
    with pytest.raises(InputError, match="home: tuned and base were evaluated on different queries"):
        result(cells)


def test_stale_cells_are_not_read(cells: Path) -> None:
    (cells / "metrics/removed").mkdir()
    (cells / "metrics/removed/home.json").write_text(json.dumps({"ndcg_at_10": 1.0}))
    assert {cell.model for cell in result(cells).cells} == {"base", "tuned"}
