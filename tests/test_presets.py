"""Every preset is a whole params file that the graph accepts, and names exact versions of what it downloads."""

import copy
import re
import shlex
import shutil
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import dvc.api
import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from retune.check.checking import check
from retune.core.section import NAME
from retune.datasets.hub_pins import SUFFIX, read_pins
from retune.params.fetch import Fetch
from tests.support.commands import blocks, in_blocks, inline
from tests.support.repository import REPOSITORY, clone, succeed

PRESETS = sorted((REPOSITORY / "presets").glob("*.yaml"))
MODELS: dict[str, Any] = YAML(typ="safe").load(REPOSITORY / "docs/models.yaml")
COMMIT = re.compile(r"[0-9a-f]{40}")
each_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)


@cache
def load(preset: Path) -> dict[str, Any]:
    """Return a preset's values as DVC reads them. No test changes them."""
    return dvc.api.params_show(str(preset))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository whose params.yaml a test may overwrite."""
    folder = tmp_path_factory.mktemp("presets") / "copy"
    clone(folder)
    return folder


@pytest.mark.slow
@each_preset
def test_preset_is_sound(preset: Path) -> None:
    check(copy.deepcopy(load(preset)))


@each_preset
def test_preset_has_the_sections_of_the_default_in_their_order(preset: Path, default_params: dict[str, Any]) -> None:
    assert list(load(preset)) == list(default_params)


@each_preset
def test_models_of_the_hub_are_commits_and_those_of_the_list(preset: Path) -> None:
    listed = {entry["repo"]: entry["revision"] for entry in MODELS.values()}
    for name, entry in load(preset)["fetch"].items():
        if entry["source"] == "hub":
            assert COMMIT.fullmatch(entry["revision"]), name
            assert entry["revision"] == listed[entry["repo"]], name


@each_preset
def test_raw_data_of_the_hub_is_pinned_to_commits(preset: Path) -> None:
    for name, entry in load(preset)["convert"].items():
        if entry["raw"].endswith(SUFFIX):
            pins = read_pins(REPOSITORY / entry["raw"])
            assert pins, name
            assert all(COMMIT.fullmatch(pin.revision) for pin in pins.values()), name


def test_every_pin_file_belongs_to_a_preset() -> None:
    used = {entry["raw"] for preset in PRESETS for entry in load(preset)["convert"].values()}
    files = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "data/raw").glob(f"*{SUFFIX}")}
    assert files
    assert files <= used


@pytest.mark.slow
@each_preset
def test_graph_accepts_preset(preset: Path, repository: Path, forks: None) -> None:
    shutil.copy(preset, repository / "params.yaml")
    graph = succeed("dvc dag --collapse-foreach-matrix --dot", repository)
    sections = load(preset)
    stages = {"fetch", "convert", "mine", "finetune", "eval", "compare"}
    stages |= {section for section in ("synthesize", "mix", "merge", "predict") if sections[section]}
    assert set(re.findall(r'^"?(\w+)"?;$', graph, flags=re.MULTILINE)) == stages


@each_preset
def test_page_and_preset_name_each_other(preset: Path) -> None:
    page = REPOSITORY / "docs" / f"{preset.stem}.md"
    assert f"make use PRESET={preset.stem}\n" in page.read_text(encoding="utf-8")
    assert f"docs/{preset.stem}.md" in preset.read_text(encoding="utf-8")


STAND_INS = {
    # the programs that need a network or an account, and `make`, whose environment is this one
    "make": """
case "$*" in
"use PRESET="*) python -m stages.use "${2#*=}" --presets presets --params params.yaml ;;
repro*) python -m stages.check ;;
esac""",
    "hf": """
while [ $# -gt 0 ]; do
  case "$1" in *.jsonl) files="$files $1" ;; --local-dir) folder=$2 ;; esac
  shift
done
for file in $files; do mkdir -p "$(dirname "$folder/$file")" && echo '{}' > "$folder/$file"; done""",
    "kaggle": 'cd given && python -m zipfile -c "../$4.zip" *.csv',
    "unzip": 'python -m zipfile -e "$1" "${@: -1}"',
}


@pytest.mark.slow
@each_preset
def test_commands_of_the_page_put_everything_where_the_preset_expects_it(
    preset: Path, tmp_path: Path, forks: None
) -> None:
    folder = tmp_path / "copy"
    clone(folder)
    commands = "".join(blocks(f"docs/{preset.stem}.md")[:1])
    (folder / "given").mkdir()
    for name in re.findall(r"[^\s/]+\.(?:csv|jsonl|tsv)\b", commands):
        (folder / "given" / name).write_text("given")
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/activate").touch()
    (tmp_path / "bin").mkdir()
    for name, script in STAND_INS.items():
        (tmp_path / "bin" / name).write_text(f"#!/usr/bin/env bash\nset -eu\nfiles=\n{script.lstrip()}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    succeed("dvc init -q -f && git add -A && git commit -qm start", folder)
    (tmp_path / "page.sh").write_text(f"export PATH={tmp_path}/bin:$PATH\n{commands.replace('…', 'given')}")
    succeed(f"bash -e {tmp_path}/page.sh", folder)
    assert (folder / "params.yaml").read_bytes() == preset.read_bytes()


@each_preset
def test_experiments_of_the_page_set_parameters_that_the_preset_has(preset: Path, tmp_path: Path) -> None:
    page = f"docs/{preset.stem}.md"
    for command in in_blocks(page) + inline(page):
        if command.startswith("dvc exp run"):
            shutil.copy(preset, tmp_path / "params.yaml")
            words = shlex.split(command)
            overrides = [word for option, word in pairwise(words) if option == "-S"]
            apply_overrides(tmp_path / "params.yaml", overrides)
            check(YAML(typ="safe").load(tmp_path / "params.yaml"))


@pytest.mark.parametrize("name", MODELS)
def test_listed_model_is_a_fetch_entry(name: str, default_params: dict[str, Any]) -> None:
    assert re.fullmatch(NAME, name)
    entry = Fetch.parse(f"fetch.{name}", MODELS[name], default_params["defaults"]["fetch"])
    assert COMMIT.fullmatch(entry.revision or "")
