"""Every command that README and docs show is run by a test, or listed as one that no test runs."""

import importlib.util
import re
import shutil
from itertools import chain
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from retune.check.checking import check
from tests.support.commands import PAGES, blocks, in_blocks, inline, lines
from tests.support.repository import REPOSITORY, run, succeed
from tests.test_pipeline import EVERYDAY

NOT_RUN = "docs/notes/commands.md"
LIVE = [page for page in PAGES if not page.startswith("docs/notes/")]  # notes record what was run
PRESET_PAGES = [f"docs/{path.stem}.md" for path in sorted((REPOSITORY / "presets").glob("*.yaml"))]
EXPERIMENT = re.compile(r"dvc exp run -S \+\+\S+")
# The commands that a test runs. Those of whole pages and blocks are read from there by the test too.
RUN_BY: dict[str, list[str]] = {
    "test_tutorial.py::test_every_command_of_the_page_prints_what_it_shows": [
        *in_blocks("docs/tutorial.md"),
        "dvc add data/raw/<name>",  # with the handbook's
    ],
    "starting/test_start_runs.py::test_markdown_and_a_table_become_tuned_models": ["make start DATA=~/handbook"],
    "test_presets.py::test_commands_of_the_page_put_everything_where_the_preset_expects_it": [
        *chain.from_iterable(lines(block) for page in PRESET_PAGES for block in blocks(page)[:1])
    ],
    "test_pipeline.py::test_documented_commands_run_and_print_what_they_promise": list(EVERYDAY),
    "test_pipeline.py::test_experiments_and_diffs": [
        *chain.from_iterable(lines(block) for block in blocks("README.md") if "exp run" in block),
        "dvc exp run -S ++finetune.minilm_science.epochs=3 -n longer",
    ],
    "test_pipeline.py::test_queued_experiments_run_in_copies_of_their_own": [
        line for line in inline("docs/dvc.md") if "queue" in line
    ],
    "test_pipeline.py::test_clone_with_a_remote_runs_what_changed": [
        *in_blocks("docs/dvc.md"),
        "git clone -q repository",
        "dvc repro --pull --allow-missing finetune@minilm_science",
        "dvc checkout",
    ],
    "test_pipeline.py::test_second_run_does_nothing_and_forced_run_writes_the_same_lock": ["dvc repro -f"],
    "test_github.py::test_gate_exits_as_the_stage_does": [".github/scripts/gate.sh"],
    "test_github.py::test_comment_takes_the_place_of_the_last_one_and_leads_to_the_run": ["gh pr comment --edit-last"],
    "test_commands.py::test_model_saved_as_the_page_of_fetch_says_has_the_hash_that_it_prints": [
        command for command in in_blocks("docs/fetch.md") if "merge_adapter" not in command
    ],
    "fetching/test_saved_adapter.py::test_command_of_the_page_prints_an_entry": [
        command for command in in_blocks("docs/fetch.md") if "merge_adapter" in command
    ],
    "test_commands.py::test_experiment_sets_parameters_that_exist": [
        command for page in LIVE for command in inline(page) + in_blocks(page) if EXPERIMENT.fullmatch(command)
    ],
    "test_presets.py::test_experiments_of_the_page_set_parameters_that_the_preset_has": [
        command for page in PRESET_PAGES for command in in_blocks(page) if command.startswith("dvc exp run")
    ],
    "starting/test_seeds.py::test_command_of_the_page_adds_the_entries": in_blocks("docs/compare.md")[:1],
    "doctor/test_examination.py::test_command_prints_findings_of_this_repository_or_that_there_are_none": [
        "python -m stages.doctor"
    ],
    "llm/test_ask_faults.py::test_refusals_are_asked_for_again_as_the_page_says": [
        command for command in inline("docs/language_models.md") if command.startswith("grep")
    ],
    "llm/test_replies.py::test_replies_can_be_shared_as_the_page_says": in_blocks("docs/language_models.md")[2:],
    "publishing/test_publish_make.py::test_command_of_the_page_writes_the_folder_and_says_how_to_upload_it": [
        "make publish MODEL=minilm_science"
    ],
    "publishing/test_artifacts.py::test_commands_of_the_page_register_a_version_and_get_it": [
        line for line in in_blocks("docs/publish.md") if "minilm_science@" in line or "artifacts" in line
    ],
    "vectors/test_ship.py::test_commands_of_the_page_write_what_it_says": [
        *in_blocks("docs/vectors.md"),
        "python -m stages.vectors MODEL DATASET --out DIR",
    ],
    "sweeping/test_sweep_page.py::test_grid_of_the_page_is_trained_by_python_and_read_back_by_make_and_in_the_background": (
        in_blocks("docs/sweep.md")[:2]
    ),
    "sweeping/test_sweep_page.py::test_learning_curve_of_the_page_has_three_points": in_blocks("docs/sweep.md")[2:],
    "sharding/test_command.py::test_commands_of_the_page_do_all_shards_and_merge_them": [
        command for command in in_blocks("docs/distributed.md") if command.startswith("python -m stages.shard")
    ],
    "serving/test_serve.py::test_server_is_a_model_of_the_matrix_and_has_parity": [
        "python -m stages.parity ENDPOINT MODEL DATASET"
    ],
    "layouts/test_export_round_trips.py": ["python -m stages.export_data LAYOUT --dataset DIR --out DIR"],
}


def listed() -> list[str]:
    """Return the commands of the table; `…` ends one that stands for all that begin like it."""
    return re.findall(r"^\| `([^`]+)` \|", (REPOSITORY / NOT_RUN).read_text(encoding="utf-8"), flags=re.MULTILINE)


def is_listed(command: str) -> bool:
    return any(command == row or (row[-1] == "…" and command.startswith(row[:-1])) for row in listed())


@pytest.mark.parametrize("page", LIVE)
def test_every_command_of_a_page_is_run_or_listed(page: str) -> None:
    known = {command for commands in RUN_BY.values() for command in commands}
    in_prose = {command for command in inline(page) if any(f"{other} ".startswith(f"{command} ") for other in known)}
    shown = {*in_blocks(page), *inline(page)}
    assert {command for command in shown - known - in_prose if not is_listed(command)} == set()


def test_list_has_only_commands_that_are_shown_and_not_run() -> None:
    shown = {command for page in LIVE for command in in_blocks(page) + inline(page)}
    run_somewhere = {command for commands in RUN_BY.values() for command in commands}
    for row in listed():
        matching = {command for command in shown if command == row or command.startswith(row.rstrip("…"))}
        assert matching, row
        assert row not in run_somewhere or row.startswith("make repro "), row  # there a stand-in runs


@pytest.mark.parametrize("test", RUN_BY)
def test_named_test_exists(test: str) -> None:
    file, _, name = test.partition("::")
    source = (REPOSITORY / "tests" / file).read_text(encoding="utf-8")
    assert f"def {name}(" in source or not name


@pytest.mark.parametrize("page", LIVE)
def test_module_that_a_command_runs_exists(page: str) -> None:
    for command in in_blocks(page) + inline(page):
        for module in re.findall(r"(?<!zipfile )-m ((?:stages|benchmarks)\.\w+)", command):
            assert importlib.util.find_spec(module), command


@pytest.mark.parametrize("command", sorted(set(RUN_BY["test_commands.py::test_experiment_sets_parameters_that_exist"])))
def test_experiment_sets_parameters_that_exist(command: str, tmp_path: Path) -> None:
    [name] = re.findall(r"\+\+\w+\.(\w+)\.", command)
    presets = [path for path in (REPOSITORY / "presets").glob("*.yaml") if f"\n  {name}:\n" in path.read_text()]
    shutil.copy((presets or [REPOSITORY / "params.yaml"])[0], tmp_path / "params.yaml")
    override = command.partition("-S ")[2].replace("minilm_handbook", "minilm_science")  # the tutorial's addition
    apply_overrides(tmp_path / "params.yaml", [override])
    check(YAML(typ="safe").load(tmp_path / "params.yaml"))


@pytest.mark.slow
def test_model_saved_as_the_page_of_fetch_says_has_the_hash_that_it_prints(
    tiny_transformer: Path, tmp_path: Path, forks: None
) -> None:
    [block] = [block for block in blocks("docs/fetch.md") if "sha256sum" in block]
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    succeed("git init -q && dvc init -q", tmp_path)
    output = run(
        f"set -e\n{block.replace('BAAI/bge-base-zh-v1.5', str(tiny_transformer)).replace('source', '.')}", tmp_path
    )
    assert re.search(r"^[0-9a-f]{64}  data/raw/bge_base_zh/model.safetensors$", output.stdout, flags=re.MULTILINE)
    assert (tmp_path / "data/raw/bge_base_zh.dvc").is_file()


def test_commands_are_read_from_blocks_and_sentences() -> None:
    block = "a=1  # note\npython - <<'PY'\nmake x\nPY\nrun \\\n  --more\npython -c \"\nfirst\nlast\"\n"
    assert lines(block) == ["a=1", "python - <<'PY'", "run --more", 'python -c "\nfirst\nlast"']
    assert "dvc exp show --no-pager --drop" in inline("docs/dvc.md")
    assert not [command for command in inline("docs/dvc.md") if command in ("dvc", "dvc.lock", "make")]
