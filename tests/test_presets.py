"""Every preset is a whole params file that the graph accepts, and names exact versions of what it downloads."""

import copy
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import dvc.api
import pytest
from ruamel.yaml import YAML

from retune.check.checking import check
from retune.core.section import NAME
from retune.datasets.hub_pins import SUFFIX, read_pins
from retune.params.fetch import Fetch
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


@each_preset
def test_graph_accepts_preset(preset: Path, repository: Path, forks: None) -> None:
    shutil.copy(preset, repository / "params.yaml")
    graph = succeed("dvc dag --collapse-foreach-matrix --dot", repository)
    stages = {"fetch", "convert", "mine", "finetune", "eval", "compare"}
    stages |= {"synthesize"} if load(preset)["synthesize"] else set()
    assert set(re.findall(r'^"?(\w+)"?;$', graph, flags=re.MULTILINE)) == stages


@each_preset
def test_page_and_preset_name_each_other(preset: Path) -> None:
    page = REPOSITORY / "docs" / f"{preset.stem}.md"
    assert f"make use PRESET={preset.stem}\n" in page.read_text(encoding="utf-8")
    assert f"docs/{preset.stem}.md" in preset.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODELS)
def test_listed_model_is_a_fetch_entry(name: str, default_params: dict[str, Any]) -> None:
    assert re.fullmatch(NAME, name)
    entry = Fetch.parse(f"fetch.{name}", MODELS[name], default_params["defaults"]["fetch"])
    assert COMMIT.fullmatch(entry.revision or "")
