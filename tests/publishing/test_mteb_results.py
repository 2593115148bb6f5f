"""MTEB reads the scores of a published model."""

import json
import shutil
from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.publishing.mteb_results import revision, task_result
from tests.publishing.conftest import Publish


def test_scores_are_in_the_schema_of_mteb(publish_it: Publish) -> None:
    result = json.loads((publish_it() / "results/home.json").read_text())
    assert result.pop("dataset_revision") == revision(Path("data/datasets/home"))
    scores = {"ndcg_at_10": 0.7, "recall_at_10": 1.0}
    subset = {"hf_subset": "default", "languages": ["eng-Latn", "deu-Latn"], "main_score": 0.7}
    assert result == {
        "task_name": "home",
        "mteb_version": None,
        "scores": {"test": [subset | scores]},
        "evaluation_time": None,
        "kg_co2_emissions": None,
    }


@pytest.mark.slow
def test_mteb_validates_the_file(publish_it: Publish) -> None:
    results = pytest.importorskip("mteb.results", reason="needs the package mteb: docs/publish.md")
    found = results.TaskResult.from_disk(publish_it() / "results/home.json", load_historic_data=False)
    assert (found.task_name, found.eval_splits, found.hf_subsets) == ("home", ["test"], ["default"])
    assert sorted(found.languages) == ["deu", "eng"]
    assert found.scores["test"][0]["main_score"] == 0.7
    assert found.get_score(["test"]) == 0.7


@pytest.mark.slow
def test_mteb_accepts_languages_that_have_no_code_here(project: Path) -> None:
    results = pytest.importorskip("mteb.results", reason="needs the package mteb: docs/publish.md")
    home = Path("data/datasets/home")
    content = task_result(Path("metrics/eval/tuned/home.json"), home, "ndcg_at_10", ["la", "tlh"])
    assert content["scores"]["test"][0]["languages"] == ["und-Zyyy", "und-Zyyy"]
    results.TaskResult.model_validate_json(json.dumps(content))


def test_revision_is_of_documents_and_test_split_alone(project: Path) -> None:
    home = project / "data/datasets/home"
    before = revision(home)
    assert len(before) == 40
    shutil.rmtree(home / "dev")
    assert revision(home) == before
    shutil.copy(home / "test/qrels.parquet", home / "test/queries.parquet")
    assert revision(home) != before


def test_missing_scores_or_data_are_refused(project: Path) -> None:
    home = project / "data/datasets/home"
    with pytest.raises(InputError, match="absent.json: expected ndcg_at_10, got none; run dvc repro"):
        task_result(project / "absent.json", home, "ndcg_at_10", [])
    with pytest.raises(InputError, match="other/corpus.parquet: expected a Parquet file, found none; run dvc"):
        task_result(project / "metrics/eval/tuned/home.json", home.with_name("other"), "ndcg_at_10", [])
