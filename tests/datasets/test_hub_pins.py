"""Raw data by a pin file: what is asked of the Hub, and what the converters then see."""

import json
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import HFValidationError, HTTPError, LocalEntryNotFoundError, XetDownloadError

from retune.core.errors import InputError
from retune.datasets import hub_pins
from tests.support.conversion import convert_raw

REVISION = "0123456789abcdef" * 2 + "01234567"
CONTENT = {
    "corpus.jsonl": json.dumps({"_id": "d1", "text": "The moon pulls the sea."}),
    "queries.jsonl": json.dumps({"_id": "q1", "text": "why tides"}),
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1",
}


def entry(name: str, file: str, revision: str = REVISION) -> str:
    return f"{name}:\n  repo: owner/set\n  revision: '{revision}'\n  file: {file}\n"


def write_pins(folder: Path, text: str) -> Path:
    path = folder / "set.hub.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """A Hub that serves CONTENT under `v1/`; the list fills with what it is asked."""
    asked: list[dict[str, str]] = []

    def download(**options: str) -> str:
        asked.append(options)
        path = tmp_path / "cache" / options["filename"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CONTENT[options["filename"].removeprefix("v1/")] + "\n")
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


def test_pinned_files_are_converted_under_their_local_names(tmp_path: Path, asked: list[dict[str, str]]) -> None:
    pins = write_pins(tmp_path, "".join(entry(name, f"v1/{name}") for name in CONTENT))
    data = convert_raw(pins, tmp_path / "out", "beir", test="given")
    assert data.judged("test") == {("why tides", "The moon pulls the sea.", 1)}
    assert asked[0] == {
        "repo_id": "owner/set",
        "filename": "v1/corpus.jsonl",
        "repo_type": "dataset",
        "revision": REVISION,
    }


def test_folder_of_links_is_gone_afterwards_and_the_cache_is_not(tmp_path: Path, asked: list[dict[str, str]]) -> None:
    pins = write_pins(tmp_path, entry("qrels/test.tsv", "v1/qrels/test.tsv"))
    with hub_pins.local_raw(pins) as raw:
        assert (raw / "qrels/test.tsv").is_symlink()
        assert (raw / "qrels/test.tsv").read_text().startswith("query-id")
    assert not raw.exists()
    assert (tmp_path / "cache/v1/qrels/test.tsv").is_file()


def test_anything_else_is_returned_as_it_is(tmp_path: Path, asked: list[dict[str, str]]) -> None:
    (tmp_path / "folder.hub.yaml").mkdir()
    (tmp_path / "plain.yaml").write_text("a: 1\n")
    for raw in (tmp_path, tmp_path / "folder.hub.yaml", tmp_path / "plain.yaml"):
        with hub_pins.local_raw(raw) as local:
            assert local == raw
    assert not asked


def test_reading_pins_downloads_nothing(tmp_path: Path, asked: list[dict[str, str]]) -> None:
    pins = hub_pins.read_pins(write_pins(tmp_path, entry("corpus.jsonl", "v1/corpus.jsonl")))
    assert {name: (pin.repo, pin.file) for name, pin in pins.items()} == {
        "corpus.jsonl": ("owner/set", "v1/corpus.jsonl")
    }
    assert not asked


@pytest.mark.parametrize("name", ["../escape.jsonl", "/etc/escape.jsonl", "a/../b.jsonl", "./a.jsonl", "."])
def test_local_name_outside_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"set.hub.yaml: .*: expected a relative path inside the folder"):
        hub_pins.read_pins(write_pins(tmp_path, entry(name, "x")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (entry("a.jsonl", "x", "main"), r"set.hub.yaml: a.jsonl.revision: expected .*, got 'main'"),
        ("a.jsonl:\n  repo: o/r\n  file: x\n", r"set.hub.yaml: a.jsonl.revision: missing; add it"),
        (entry("a.jsonl", "x") + "  branch: main\n", r"set.hub.yaml: a.jsonl.branch: unknown parameter"),
        (entry("qrels", "x") + entry("qrels/a.tsv", "x"), "qrels/a.tsv: expected a file, got a path inside another"),
        (entry("7", "x"), r"set.hub.yaml: 7: expected a file name, got 7"),
        ("a.jsonl: x\n", r"set.hub.yaml: a.jsonl: expected"),
        ("- a\n", "set.hub.yaml: expected a mapping from local names to repo, revision and file"),
        ("a: [\n", "set.hub.yaml: expected YAML, got: "),
        (entry("a", "x") + entry("a", "y"), "set.hub.yaml: expected YAML, got: .*duplicate key"),
        ("2026-99-99: 1\n", "set.hub.yaml: expected YAML, got: month must be"),
        ("[" * 20_000, "set.hub.yaml: expected YAML, got: "),
        ("", "set.hub.yaml: expected data, got an empty file"),
    ],
)
def test_wrong_pins_name_the_file_and_the_entry(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as raised:
        hub_pins.read_pins(write_pins(tmp_path, text))
    assert "params.yaml" not in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        LocalEntryNotFoundError("no connection\nand no cache"),
        HTTPError("no connection"),
        HFValidationError("no connection"),
        XetDownloadError("no connection"),
        OSError("no connection"),
    ],
)
def test_failed_download_names_repository_revision_and_file(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**options: str) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    pins = write_pins(tmp_path, entry("corpus.jsonl", "v1/corpus.jsonl"))
    expected = f"set.hub.yaml: corpus.jsonl: v1/corpus.jsonl of owner/set at {REVISION} could not be downloaded: no"
    with pytest.raises(InputError, match=expected):
        convert_raw(pins, tmp_path / "out", "beir", test="given")
    assert not (tmp_path / "out/corpus.parquet").exists()


@pytest.mark.network
def test_pinned_file_downloads(tmp_path: Path) -> None:
    revision = "0228b52cf27578f30900b9e5271d331663a030d7"
    text = f"card.md:\n  repo: mteb/scifact\n  revision: {revision}\n  file: README.md\n"
    with hub_pins.local_raw(write_pins(tmp_path, text)) as raw:
        assert "---" in (raw / "card.md").read_text(encoding="utf-8")
