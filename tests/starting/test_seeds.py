"""Entries for other seeds of a tuned model are written by one command."""

import shutil
from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.core.params_file import read_params
from retune.starting.seeds import add_seeds
from tests.support.commands import in_blocks
from tests.support.repository import REPOSITORY, succeed


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "params.yaml"


def test_each_seed_is_an_entry_and_all_are_a_group(path: Path) -> None:
    before = read_params(str(path))
    said = add_seeds(path, "minilm_science", ["14", "15"])
    params = read_params(str(path))
    for seed in (14, 15):
        name = f"minilm_science_{seed}"
        assert params["finetune"][name] == before["finetune"]["minilm_science"] | {"seed": seed}
        assert name in params["eval"]["models"]
        assert f"+  {name}:" in said
    assert params["compare"]["seeds"] == {"minilm_science": ["minilm_science_14", "minilm_science_15"]}
    assert list(params["finetune"])[-2:] == ["minilm_science_14", "minilm_science_15"]
    add_seeds(path, "minilm_sympy", ["014"])
    add_seeds(path, "minilm_science", ["16"])
    assert read_params(str(path))["compare"]["seeds"] == {
        "minilm_science": ["minilm_science_14", "minilm_science_15", "minilm_science_16"],
        "minilm_sympy": ["minilm_sympy_14"],
    }


@pytest.mark.slow
def test_command_of_the_page_adds_the_entries(path: Path) -> None:
    command = in_blocks("docs/compare.md")[0]
    assert "+  minilm_science_14:" in succeed(command, path.parent, PYTHONPATH=str(REPOSITORY))
    assert "minilm_science_15" in read_params(str(path))["eval"]["models"]


@pytest.mark.parametrize(
    ("model", "seeds", "line"),
    [
        ("bert", ["14"], "finetune: expected an entry 'bert', found minilm_science, "),
        ("minilm_science", ["x"], "SEEDS: expected whole numbers with commas between them, got 'x'"),
        ("minilm_science", ["13"], "compare.seeds.minilm_science: expected another seed for each model, got 13 twice"),
    ],
)
def test_wrong_arguments_change_nothing(path: Path, model: str, seeds: list[str], line: str) -> None:
    before = path.read_bytes()
    with pytest.raises(InputError, match=line):
        add_seeds(path, model, seeds)
    assert path.read_bytes() == before


def test_seed_that_exists_is_refused(path: Path) -> None:
    add_seeds(path, "minilm_science", ["14"])
    with pytest.raises(InputError, match="finetune.minilm_science_14: expected no such entry, found one"):
        add_seeds(path, "minilm_science", ["14"])
