"""What `make repro` will do: the stages without output, and their time from counts and a rate."""

import json
from pathlib import Path
from typing import Any

import pytest

from retune.check.checking import check
from retune.starting.cost import Rate, rate_of, size_of, training_tokens
from retune.starting.plan import Plan, Workspace
from retune.starting.survey import Survey
from tests.support.parameters import EXPORT
from tests.support.repository import REPOSITORY

RATE = Rate(fast=1000.0, exact=500.0, description="a test's machine")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "data", tmp_path / "models", REPOSITORY / "metrics")


def with_faq(params: dict[str, Any]) -> dict[str, Any]:
    """Add a data set and a model tuned on it."""
    params["convert"]["faq"] = params["convert"]["science"] | {"dev": 0.1, "test": 0.4}
    params["mine"]["faq"] = params["mine"]["science"] | {"dataset": "faq", "pool": "faq"}
    params["finetune"]["minilm_faq"] = params["finetune"]["minilm_science"] | {"data": "faq", "dev": "faq", "epochs": 2}
    params["eval"]["models"].append("minilm_faq")
    params["eval"]["datasets"].append("faq")
    return params


def finish(workspace: Workspace, params: dict[str, Any]) -> None:
    """Write the outputs of all stages."""
    sections = ("fetch", "finetune", "merge", "rerank", "fuse")
    folders = [workspace.models / name for section in sections for name in params[section]]
    folders += [workspace.data / "datasets" / name for name in [*params["convert"], *params["synthesize"]]]
    folders += [workspace.data / "mined" / name for name in params["mine"]]
    folders += [
        workspace.data / "scores" / model / f"{dataset}.parquet"
        for model in params["eval"]["models"]
        for dataset in params["eval"]["datasets"]
    ]
    for folder in folders:
        folder.mkdir(parents=True)


def test_plan_of_a_finished_project_is_what_is_new(default_params: dict, workspace: Workspace) -> None:
    finish(workspace, default_params)
    survey = Survey(documents=100, characters=400.0, queries={"train": 50}, query_characters=40.0)
    plan = Plan(check(with_faq(default_params)), workspace, RATE, {"faq": survey})
    (line,) = plan.describe(["faq", "minilm_faq"])
    assert line.startswith(
        "make repro will convert faq, mine faq, tune minilm_faq, measure 7 models on faq, science and sympy and compare: "
    )
    assert line.endswith("minutes here (a test's machine)")
    seconds = {(task.stage, *task.of): task.seconds for task in plan.tasks}
    # 100 documents of 400 / 4 + 2 tokens, 25 train queries of 40 / 4 + 2; bare start of mine: 9 s
    assert seconds["mine", "faq"] == pytest.approx(9 + (100 * 102 + 25 * 12) / 1000)
    # 2 epochs of 25 queries with 2 documents, at 4 times the cost; 3 dev scores with 5 queries
    assert seconds["finetune", "minilm_faq"] == pytest.approx(
        20 + (4 * 2 * 25 * (12 + 2 * 102) + 3 * (100 * 102 + 5 * 12)) / 1000
    )
    assert seconds["eval", "minilm", "faq"] == pytest.approx(8 + (100 * 102 + 20 * 12) / 500)
    assert seconds["eval", "bm25", "faq"] == 8


def test_export_takes_the_time_to_encode_its_texts_twice(default_params: dict, workspace: Workspace) -> None:
    default_params["export"] = {
        "small": EXPORT | {"dataset": "faq"},
        "words": EXPORT | {"dataset": "faq", "format": "static", "parity": None},
    }
    default_params["eval"]["models"].append("small")
    default_params = with_faq(default_params)
    finish(workspace, default_params)
    survey = Survey(documents=100, characters=400.0, queries={"train": 50}, query_characters=40.0)
    plan = Plan(check(default_params), workspace, RATE, {"faq": survey})
    seconds = {(task.stage, *task.of): task.seconds for task in plan.tasks}
    assert seconds["export", "small"] == pytest.approx(20 + 2 * 30 * 102 / 500)  # 30 texts of 400 / 4 + 2 tokens
    assert seconds["export", "words"] == pytest.approx(20 + 100_000 / 500)  # its model's vocabulary
    assert "export small" in plan.describe(["small"])[0]


def test_system_takes_the_time_of_its_models_and_of_the_pairs_that_are_scored(
    default_params: dict, workspace: Workspace
) -> None:
    default_params["fetch"]["pairs"] = default_params["fetch"]["minilm"]
    default_params["rerank"]["reordered"] = {"first_stage": "minilm_sympy_bm25", "reranker": "pairs", "k": 5}
    default_params["eval"]["models"].append("reordered")
    survey = Survey(documents=100, characters=400.0, queries={"train": 50}, query_characters=40.0)
    plan = Plan(check(with_faq(default_params)), workspace, RATE, {"faq": survey})
    seconds = {(task.stage, *task.of): task.seconds for task in plan.tasks}
    encoding = 100 * 102 + 20 * 12  # by minilm_sympy; BM25 takes no time
    assert seconds["eval", "minilm_sympy_bm25", "faq"] == pytest.approx(8 + encoding / 500)
    assert seconds["eval", "reordered", "faq"] == pytest.approx(8 + (encoding + 20 * 5 * (12 + 102)) / 500)
    assert seconds["rerank", "reordered"] == 3
    assert "join reordered" in plan.describe(["reordered"])[0]


@pytest.mark.parametrize(
    "method",
    [
        {"method": "nudge", "nudge": {"variant": "m"}},
        {"method": "query_tower", "query_tower": {"learns": "linear", "everywhere": False}},
    ],
    ids=["nudge", "linear"],
)
def test_what_learns_from_vectors_takes_the_time_to_encode(
    method: dict, default_params: dict, workspace: Workspace
) -> None:
    params = with_faq(default_params)
    params["finetune"]["minilm_faq"] |= method
    survey = Survey(documents=100, characters=400.0, queries={"train": 50}, query_characters=40.0)
    plan = Plan(check(params), workspace, RATE, {"faq": survey})
    (seconds,) = (task.seconds for task in plan.tasks if (task.stage, *task.of) == ("finetune", "minilm_faq"))
    assert seconds == pytest.approx(20 + (100 * 102 + 5 * 12) / 1000)


def test_time_of_a_cross_encoder_is_not_known(default_params: dict, workspace: Workspace) -> None:
    block = {"method": "cross_encoder", "cross_encoder": {"loss": "binary", "k": 10}}
    default_params["finetune"]["reranker"] = default_params["finetune"]["minilm_science"] | block
    plan = Plan(check(default_params), workspace, RATE, {})
    assert {task.seconds is None for task in plan.tasks if task.of == ("reranker",)} == {True}


def test_entries_without_output_are_said_apart(default_params: dict, workspace: Workspace) -> None:
    survey = Survey(documents=100, characters=400.0, queries={"train": 50}, query_characters=40.0)
    plan = Plan(check(with_faq(default_params)), workspace, RATE, {"faq": survey})
    first, others = plan.describe(["faq", "minilm_faq"])
    assert first.startswith("make repro will fetch minilm and bm25, convert faq, ")
    assert others.startswith("it also runs entries that have no output yet (10 entries): about ")
    assert others.endswith("delete those that you do not need from params.yaml")


def test_time_of_the_default_is_about_what_it_took(default_params: dict, workspace: Workspace) -> None:
    # README: 11 minutes on two cores with AVX512-BF16, whose rates docs/performance.md has
    plan = Plan(check(default_params), workspace, Rate(14_000.0, 13_000.0, ""), {})
    assert 7 <= sum(task.seconds or 0.0 for task in plan.tasks) / 60 <= 14


def test_size_that_is_not_known_gives_a_least_time(default_params: dict, tmp_path: Path) -> None:
    plan = Plan(check(default_params), Workspace(tmp_path, tmp_path, tmp_path), RATE, {})
    assert "more than" in plan.describe([])[1]


def test_size_of_a_data_set_is_read_from_its_metrics() -> None:
    content = json.loads((REPOSITORY / "metrics/data/science.json").read_text(encoding="utf-8"))
    assert content["corpus"]["documents"] == 1900  # the test above rests on it


def test_tokens_of_scripts_without_spaces_are_characters_almost() -> None:
    assert size_of(1, 60, {}, 12, "zh").document_tokens == pytest.approx(52)  # 60 / 1.2 + 2
    assert size_of(1, 400, {}, 12, "en").document_tokens == pytest.approx(102)
    assert size_of(1, 40_000, {}, 12, "en").document_tokens == 128  # the window


def test_training_counts_a_query_with_its_documents() -> None:
    size = size_of(10, 392, {"train": 5}, 32, "en")  # 100 and 10 tokens
    assert training_tokens(size, epochs=2, hard_negatives=1) == pytest.approx(2 * 5 * (10 + 2 * 100))


def test_rate_of_this_machine_is_that_of_its_kind() -> None:
    rate = rate_of("cpu")
    assert rate.fast >= rate.exact > 0
    assert rate.description.startswith("cpu (")


def test_larger_base_takes_longer(default_params: dict, workspace: Workspace, tiny_model: Path) -> None:
    project, seconds = check(default_params), {}
    for name in ("unknown", "tiny"):
        seconds[name] = {
            task.of: task.seconds for task in Plan(project, workspace, RATE, {}).tasks if task.stage == "mine"
        }
        workspace.models.mkdir(exist_ok=True)
        if name == "unknown":
            (workspace.models / "minilm").symlink_to(tiny_model)  # of 2 layers and 32 dimensions: almost no time
    assert seconds["tiny"][("science",)] < 10 < seconds["unknown"][("science",)]
