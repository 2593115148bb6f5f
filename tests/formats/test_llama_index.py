"""Format llama_index on hand-made files in its shape, and on a real data set where it is there."""

import json
from pathlib import Path
from typing import Any

import pytest

from retune.core.errors import InputError
from tests.support.conversion import convert_raw
from tests.support.repository import SHARED_DATA

REAL = SHARED_DATA / "llamaindex_10k"
CONTENT = {
    "queries": {"8f-1": "first", "8f-2": "second"},
    "corpus": {"node-1": "one", "node-2": "two"},
    "relevant_docs": {"8f-1": ["node-1"], "8f-2": ["node-2"]},
}


def write(path: Path, **changes: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(CONTENT | changes))
    return path


@pytest.mark.parametrize("changes", [{}, {"mode": "text"}])
def test_one_file_is_train(changes: dict[str, Any], tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "qa.json", **changes), tmp_path / "out", "llama_index")
    assert data.judged() == {("first", "one", 1), ("second", "two", 1)}
    assert data.texts() == CONTENT["corpus"]


def test_folder_with_one_file_of_any_name_is_train(tmp_path: Path) -> None:
    write(tmp_path / "raw/qa.json")
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "llama_index")
    assert data.queries() == CONTENT["queries"]


def test_corpora_of_a_folder_unite_and_val_is_dev(tmp_path: Path) -> None:
    write(tmp_path / "raw/train_dataset.json")
    other = {"corpus": {"node-9": "nine", "node-2": "two"}, "relevant_docs": {"8f-9": ["node-9", "node-2"]}}
    write(tmp_path / "raw/val_dataset.json", queries={"8f-9": "ninth"}, **other)
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "llama_index", dev="given")
    assert data.counts() == {"train": (2, 2), "dev": (1, 2)}
    assert data.texts() == {"node-1": "one", "node-2": "two", "node-9": "nine"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"queries_split": {}}, "expected only queries, corpus, relevant_docs, mode, got 'queries_split'"),
        ({"corpus": ["one"]}, "qa.json: corpus: expected an object, got list"),
        (
            {"relevant_docs": {"8f-1": "node-1"}},
            "relevant_docs.8f-1: expected a list of ids as texts or whole numbers, got 'node-1'",
        ),
        ({"queries": {"8f-1": 3}}, "queries.8f-1: text: expected text, got 3"),
    ],
)
def test_wrong_content_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        convert_raw(write(tmp_path / "qa.json", **changes), tmp_path / "out", "llama_index")


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "qa.json").write_text('{"queries": {}, "corpus": {}}')
    with pytest.raises(InputError, match="expected an object with queries, corpus and relevant_docs, got none at 'rel"):
        convert_raw(tmp_path / "qa.json", tmp_path / "out", "llama_index")


@pytest.mark.skipif(not REAL.is_dir(), reason="real LlamaIndex data is not beside the repository")
def test_real_files_have_the_published_counts(tmp_path: Path) -> None:
    data = convert_raw(REAL, tmp_path / "out", "llama_index", dev="given")
    assert data.counts() == {"train": (668, 668), "dev": (790, 790)}
    assert len(data.corpus) + data.statistics["dropped"].get("equal text", 0) == 334 + 395
