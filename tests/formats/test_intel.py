"""Format intel on hand-made files in its shape, and on the example's own files where they are there."""

import json
from pathlib import Path
from typing import Any

import pytest

from retune.core.errors import InputError
from tests.support.conversion import convert_raw
from tests.support.repository import SHARED_DATA

REAL = SHARED_DATA / "intel_embedding_finetune"


def write(folder: Path, queries: list[dict[str, Any]], contexts: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    for name, rows in (("example.jsonl", queries), ("candidate_context.jsonl", contexts)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_all_contexts_join_the_corpus_and_long_lists_are_flattened(tmp_path: Path) -> None:
    queries = [{"query": "a", "pos": ["one", "two"]}, {"query": "b", "pos": ["two"], "neg": ["three", "four"]}]
    raw = write(tmp_path / "raw", queries, [{"context": ["one"]}, {"context": ["two", "five"]}])
    data = convert_raw(raw, tmp_path / "out", "intel", file="example.jsonl")
    assert data.judged() == {("a", "one", 1), ("a", "two", 1), ("b", "two", 1), ("b", "three", 0), ("b", "four", 0)}
    assert sorted(data.texts().values()) == ["five", "four", "one", "three", "two"]


@pytest.mark.parametrize(
    ("query", "context", "message"),
    [
        ({"query": "a"}, {"context": ["one"]}, r"example.jsonl:1: expected pos, got the columns query"),
        ({"query": "a", "pos": ["one"]}, {"text": "one"}, r"candidate_context.jsonl:1: expected context, got the colu"),
        ({"query": "a", "pos": 1}, {"context": ["one"]}, r"example.jsonl:1: pos: expected a text or a list of texts"),
    ],
)
def test_wrong_row_is_refused(query: dict[str, Any], context: dict[str, Any], message: str, tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", [query], [context])
    with pytest.raises(InputError, match=message):
        convert_raw(raw, tmp_path / "out", "intel", file="example.jsonl")


def test_file_outside_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"convert.x.file: expected string to match"):
        convert_raw(tmp_path, tmp_path / "out", "intel", file="../example.jsonl")


@pytest.mark.skipif(not REAL.is_dir(), reason="real Intel data is not beside the repository")
@pytest.mark.parametrize(("file", "judgments"), [("example.jsonl", 10), ("augmented_example.jsonl", 60)])
def test_real_files_have_10_queries_and_50_contexts(file: str, judgments: int, tmp_path: Path) -> None:
    data = convert_raw(REAL, tmp_path / "out", "intel", file=file)
    assert len(data.corpus) + data.statistics["dropped"].get("equal text", 0) == 50
    assert data.counts() == {"train": (10, judgments)}
