"""The benchmark of exports, with the tiny model: what is made, what is called, and the table; no figure is tested."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks import exporting, tables
from benchmarks.exporting import BFLOAT16, EXPORTED, FLOAT32, ST
from tests.exporting.test_export import TEXTS, dataset  # noqa: F401 # a fixture

pytestmark = pytest.mark.usefixtures("forks")
INSTALLED = {
    "safetensors": True,
    "onnx": all(map(find_spec, ("onnx", "onnxruntime", "onnxscript"))),
    "static": all(map(find_spec, ("model2vec", "skeletoken"))),
}
FORMS = [f"tiny: {form}, {dtype}" for form, dtype in exporting.FORMS if INSTALLED[form]]
NAMES = [f"tiny: {kind}" for kind in (ST, FLOAT32, BFLOAT16)] + FORMS


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    """Run each system in this process; return the kinds and folders of the calls."""
    calls: list[tuple[str, str]] = []

    def run_apart(module: str, *arguments: str) -> dict[str, float]:
        assert module == "exporting"
        calls.append(arguments[:2])
        exporting.run(*arguments, str(tmp_path / "report.json"))
        return json.loads((tmp_path / "report.json").read_text()) | {"peak_gb": 1.5}

    monkeypatch.setattr(exporting, "run_apart", run_apart)
    monkeypatch.setattr("benchmarks.machine.RESULTS", tmp_path)
    monkeypatch.setattr(exporting, "RESULTS", tmp_path)
    return calls


@pytest.mark.slow
def test_exports_take_turns_with_their_model_and_make_a_row_each(
    run_here: list[tuple[str, str]],
    tiny_model: Path,
    dataset: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["exporting", str(tiny_model), "--dataset", str(dataset)])
    exporting.main()
    assert [kind for kind, _ in run_here] == [ST, FLOAT32, BFLOAT16, *[EXPORTED] * len(FORMS)] * exporting.RUNS
    printed = capsys.readouterr().out
    table = printed[printed.index("\n| ") + 1 :].splitlines()
    assert table[0].endswith(" | p50 ms | p95 ms | documents/s | MB |")
    assert [line.split(" | ")[0].removeprefix("| ") for line in table[2:]] == NAMES
    assert all(float(line.split(" | ")[-1].removesuffix(" |")) > 0.0 for line in table[2:])
    assert table == tables.table(tmp_path / "exporting.json").splitlines()
    for form, _ in exporting.FORMS:
        assert INSTALLED[form] or f"tiny: {form}, float32 is left out" in printed


@pytest.mark.parametrize("kind", [ST, FLOAT32, BFLOAT16, EXPORTED])
def test_all_ways_to_run_a_model_give_its_vectors(kind: str, tiny_model: Path) -> None:
    ask, encode = exporting._load(kind, tiny_model)
    expected = exporting._load(ST, tiny_model)[1](TEXTS)
    documents = np.asarray(encode(TEXTS))
    np.testing.assert_allclose(documents, expected, atol=0.05 if kind == BFLOAT16 else 1e-5)
    assert np.abs(documents - expected).max() > (1e-5 if kind == BFLOAT16 else -1)
    np.testing.assert_allclose(np.asarray(ask(TEXTS[3])).ravel(), documents[3], atol=0.02)


def test_texts_are_queries_and_documents_spread_over_the_corpus(
    dataset: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporting, "DOCUMENTS", 10)
    monkeypatch.setattr(exporting, "QUERIES", 3)
    exporting.write_texts(dataset, tmp_path / "texts.json")
    texts = json.loads((tmp_path / "texts.json").read_text())
    assert texts["documents"] == TEXTS[::4]
    assert len(texts["queries"]) == 3


def test_size_is_that_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx/model.onnx").write_bytes(bytes(2_000_000))
    (tmp_path / "config.json").write_bytes(bytes(500_000))
    assert exporting.size_mb(tmp_path) == 2.5


def test_folder_that_is_no_model_is_named(
    dataset: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["exporting", str(tmp_path), "--dataset", str(dataset)])
    with pytest.raises(
        SystemExit, match="error: .*retune.json: expected a model written by fetch or finetune, found no"
    ):
        exporting.main()
