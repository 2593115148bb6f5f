"""Atomic writing, records as equal bytes, the command line, presets."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from retune.check.presets import use
from retune.core import records
from retune.core.errors import InputError
from retune.core.files import atomic_directory, atomic_file, json_hash, write_json
from tests.support.repository import REPOSITORY, run, succeed


def test_failed_block_leaves_the_old_output(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/kept").touch()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(RuntimeError), atomic_directory(tmp_path / "out") as partial:
        (partial / "new").touch()
        raise RuntimeError
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "file") as partial:
        partial.write_text("new")
        raise RuntimeError
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "kept", "out"]
    assert (tmp_path / "file").read_text() == "kept"


def test_leftover_of_a_killed_process_never_becomes_output(tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial/left").touch()
    with atomic_directory(tmp_path / "out") as partial:
        (partial / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "new"]


def test_not_a_number_never_reaches_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


def test_equal_records_are_equal_bytes_and_read_back(tmp_path: Path) -> None:
    corpus = pd.DataFrame({"doc_id": ["1", "é"], "title": [None, "t"], "text": ["x", "y"]})
    split = records.Split(
        pd.DataFrame({"query_id": ["q"], "text": ["é\n"], "prompt": [None], "answer": [None]}),
        pd.DataFrame({"query_id": ["q"], "doc_id": ["1"], "relevance": [2]}),
    )
    splits = {"train": split, "dev": records.empty_split(), "test": records.empty_split()}
    records.write_dataset(tmp_path / "one", records.Dataset(corpus, splits))
    shuffled = corpus[["text", "doc_id", "title"]].set_index(pd.Index([7, 9]))
    records.write_dataset(tmp_path / "two", records.Dataset(shuffled, splits))
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.parquet"))
    assert len(files) == 7
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert records.read_corpus(tmp_path / "one")["doc_id"].tolist() == ["1", "é"]
    assert records.read_split(tmp_path / "one", "train").queries["text"].tolist() == ["é\n"]
    assert records.read_split(tmp_path / "one", "dev").queries.empty


def test_missing_and_foreign_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"corpus.parquet: expected a Parquet file, found none"):
        records.read_corpus(tmp_path)
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "corpus.parquet")
    with pytest.raises(InputError, match=r"corpus.parquet: expected columns .*doc_id.*, got \['x'\]"):
        records.read_corpus(tmp_path)


@pytest.mark.slow
def test_command_line_without_arguments_explains_itself(forks: None) -> None:
    result = run("python -m stages.mine", REPOSITORY)
    assert result.returncode == 2
    assert "--dataset" in result.stderr


def test_bug_keeps_its_traceback(tmp_path: Path) -> None:
    script = "from retune.core.cli import run\ndef main() -> None:\n    raise KeyError('bug')\nrun(main)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=REPOSITORY / "src"
    )
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "KeyError: 'bug'" in result.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Git repository with the presets and a committed params.yaml."""
    (tmp_path / "presets").mkdir()
    for preset in (REPOSITORY / "presets").glob("*.yaml"):
        (tmp_path / "presets" / preset.name).write_text(preset.read_text())
    (tmp_path / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    succeed("git init -q && git config user.email t@example.com && git config user.name t && dvc init -q", tmp_path)
    succeed("git add -A && git commit -qm all", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_preset_takes_the_place_of_params(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    use("eedi_cpu", Path("presets"), Path("params.yaml"))
    assert (project / "params.yaml").read_text() == (project / "presets/eedi_cpu.yaml").read_text()
    use("eedi_cpu", Path("presets"), Path("params.yaml"))  # no change is lost, so again is fine


def test_preset_never_overwrites_a_change(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    with (project / "params.yaml").open("a") as file:
        file.write("# mine\n")
    with pytest.raises(InputError, match="params.yaml: expected no uncommitted changes, got some; commit them"):
        use("eedi_cpu", Path("presets"), Path("params.yaml"))
    assert (project / "params.yaml").read_text().endswith("# mine\n")


@pytest.mark.parametrize("name", ["", "nothing", "../presets/eedi_cpu"])
def test_unknown_preset_lists_those_there_are(name: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(InputError, match="presets: expected one of .*eedi_cpu.*: make use PRESET=name"):
        use(name, Path("presets"), Path("params.yaml"))


def test_hash_of_json_does_not_depend_on_the_order_of_keys() -> None:
    one, other = json_hash({"a": 1, "b": [2, "ü"]}), json_hash({"b": [2, "ü"], "a": 1})
    assert one == other
    assert json_hash({"a": 1, "b": ["ü", 2]}) != one
