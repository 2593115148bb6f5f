import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from retune.core.files import write_json, write_text
from retune.doctor.examination import CHECKS, describe, examine
from retune.doctor.state import read_state
from tests.support.patients import HEALTHY, PARAMETERS, changed
from tests.support.repository import REPOSITORY, succeed

LISTED = ["bm25", "base", "tuned"], ["home", "far"]


def test_healthy_state_is_one_line() -> None:
    assert examine(HEALTHY) == []
    assert (
        describe(HEALTHY) == f"No findings: {len(CHECKS)} checks of metrics/ and params.yaml found nothing to change."
    )


def test_cross_encoder_that_is_not_evaluated_is_healthy() -> None:
    block = {"method": "cross_encoder", "cross_encoder": {"loss": "binary", "k": 50}}
    reranker = replace(HEALTHY.tuned_models["tuned"], parameters=PARAMETERS | block)
    histories = {**HEALTHY.histories, "reranker": HEALTHY.histories["tuned"]}
    tuned_models = {**HEALTHY.tuned_models, "reranker": reranker}
    assert examine(replace(HEALTHY, tuned_models=tuned_models, histories=histories)) == []


def test_a_finding_is_one_line_with_fact_meaning_and_advice() -> None:
    state = changed("data", "home", "leaks", "train_queries", to=11)
    (finding,) = examine(state)
    assert describe(state) == f"- convert.home: {finding.fact} {finding.meaning} {finding.advice}"


@pytest.mark.slow
def test_command_prints_findings_of_this_repository_or_that_there_are_none() -> None:
    printed = succeed("python -m stages.doctor", REPOSITORY)
    assert re.fullmatch(r"(- [\w.]+: .+\n)+|No findings: .+\n|There is nothing to examine yet: .+\n", printed)


def test_docs_list_every_check() -> None:
    page = (REPOSITORY / "docs/troubleshooting.md").read_text(encoding="utf-8")
    table = page.partition("| finding | when |\n|---|---|\n")[2].partition("\n\n")[0]
    assert len(table.splitlines()) == len(CHECKS)


def test_every_part_of_a_state_may_be_absent(tmp_path: Path) -> None:
    empty = read_state(tmp_path, *LISTED, HEALTHY.tuned_models, HEALTHY.margin)
    assert describe(empty).startswith("There is nothing to examine yet")
    for part in ("data", "mined", "histories", "pair_scores"):
        assert examine(replace(HEALTHY, **{part: {}})) == []
    assert examine(replace(HEALTHY, measurements=[])) == []
    blank = {"data": {"home": {}}, "mined": {"home": {}}, "pair_scores": {("base", "home"): {"histogram": []}}}
    assert examine(replace(HEALTHY, **blank)) == []


def test_state_is_read_from_the_files_that_stages_write(tmp_path: Path) -> None:
    for name, content in HEALTHY.data.items():
        write_json(tmp_path / "data" / f"{name}.json", content)
    for name, content in HEALTHY.mined.items():
        write_json(tmp_path / "mined" / f"{name}.json", content)
    for (model, dataset), content in HEALTHY.pair_scores.items():
        write_json(tmp_path / "pair_scores" / model / f"{dataset}.json", content)
    for name, history in HEALTHY.histories.items():
        write_text(tmp_path / "train" / f"{name}.tsv", history.to_csv(sep="\t", index=False))
    gone = {"model": "gone", "dataset": "home", "queries": 9, "score": 0.1}  # params.yaml does not list it any more
    write_json(tmp_path / "verdict.json", {"measurements": [*HEALTHY.measurements, gone]})
    state = read_state(tmp_path, *LISTED, HEALTHY.tuned_models, HEALTHY.margin)
    assert (state.data, state.mined, state.pair_scores) == (HEALTHY.data, HEALTHY.mined, HEALTHY.pair_scores)
    assert json.loads(json.dumps(state.measurements)) == HEALTHY.measurements
    assert state.histories["tuned"].to_csv() == HEALTHY.histories["tuned"].to_csv()
