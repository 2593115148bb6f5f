"""MLDR's and Tevatron's queries with their passages."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from retune.core.errors import InputError
from tests.support.conversion import convert_raw

CORPUS = [
    {"docid": f"doc-{number}", "text": f"A long text about {what}."} for number, what in enumerate(["moss", "fern"])
]
EXTRA = {"docid": "doc-9", "text": "A passage the corpus file lacks."}


def query(number: int, positives: Any, negatives: Any) -> dict[str, Any]:
    row = {"query_id": f"q-{number}", "query": f"question {number}"}
    return row | {"positive_passages": positives, "negative_passages": negatives}


def write(folder: Path, *, suffix: str = ".jsonl.gz", **files: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    for name, rows in files.items():
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    return folder


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl"])
def test_corpus_and_splits_are_read(suffix: str, tmp_path: Path) -> None:
    train, test = [query(1, [CORPUS[0]], [CORPUS[1]])], [query(2, [CORPUS[1]], [CORPUS[0]])]
    raw = write(tmp_path / "raw", suffix=suffix, corpus=CORPUS, train=train, test=test)
    data = convert_raw(raw, tmp_path / "out", "mldr", negatives=True, test="given")
    assert data.texts() == {row["docid"]: row["text"] for row in CORPUS}
    assert data.judged() == {("question 1", CORPUS[0]["text"], 1), ("question 1", CORPUS[1]["text"], 0)}
    assert data.counts() == {"train": (1, 2), "test": (1, 2)}


def test_passage_that_the_corpus_lacks_joins_it(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", corpus=CORPUS, train=[query(1, [EXTRA], [])])
    data = convert_raw(raw, tmp_path / "out", "mldr", negatives=True)
    assert list(data.texts()) == ["doc-0", "doc-1", "doc-9"]


def test_corpus_file_may_be_missing(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", train=[query(1, CORPUS, []), query(2, [EXTRA], CORPUS)])
    data = convert_raw(raw, tmp_path / "out", "mldr", negatives=True)
    assert len(data.corpus) == 3
    assert data.counts() == {"train": (2, 5)}


def test_splits_may_be_missing(tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "raw", corpus=CORPUS), tmp_path / "out", "mldr", negatives=True)
    assert len(data.corpus) == 2
    assert data.counts() == {}


def test_negatives_are_left_unjudged_on_request_but_join_the_corpus(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", corpus=CORPUS, train=[query(1, [CORPUS[0]], [CORPUS[1], EXTRA])])
    data = convert_raw(raw, tmp_path / "out", "mldr", negatives=False)
    assert data.counts() == {"train": (1, 1)}
    assert "doc-9" in data.texts()
    assert data.statistics["dropped"]["negative not judged"] == 2


def test_either_list_may_be_null_or_absent(tmp_path: Path) -> None:
    absent = {"query_id": "q-3", "query": "question 3", "positive_passages": [EXTRA]}
    rows = [query(1, [CORPUS[0]], None), query(2, None, [CORPUS[1]]), absent]
    data = convert_raw(write(tmp_path / "raw", train=rows), tmp_path / "out", "mldr", negatives=True)
    assert data.counts() == {"train": (2, 2)}
    assert data.statistics["dropped"]["query without a relevant document"] == 1


def test_titles_of_tevatron_are_kept_and_empty_ones_are_none(tmp_path: Path) -> None:
    passages = [{"docid": "a", "title": "Moss", "text": "green"}, {"docid": "b", "title": "", "text": "grey"}]
    raw = write(tmp_path / "raw", train=[query(1, passages[:1], passages[1:])])
    data = convert_raw(raw, tmp_path / "out", "mldr", negatives=True)
    titles = dict(zip(data.corpus["doc_id"], data.corpus["title"], strict=True))
    assert titles["a"] == "Moss"
    assert not isinstance(titles["b"], str)


def test_folder_without_any_of_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected corpus, train, dev or test as .jsonl.gz or .jsonl, found none"):
        convert_raw(write(tmp_path / "raw", other=[]), tmp_path / "out", "mldr", negatives=True)


def test_passage_with_another_text_than_the_corpus_is_refused(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", corpus=CORPUS, dev=[query(1, [CORPUS[0] | {"text": "other"}], [])])
    with pytest.raises(InputError, match=r"dev.jsonl.gz:1: doc_id 'doc-0': expected one text"):
        convert_raw(raw, tmp_path / "out", "mldr", negatives=True, dev="given")


@pytest.mark.parametrize("passages", ["text", ["text"], {"docid": "a"}])
def test_passages_that_are_no_list_of_objects_are_refused(passages: Any, tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", train=[query(1, passages, [])])
    with pytest.raises(
        InputError, match=r"train.jsonl.gz:1: positive_passages: expected a list of objects or null, got"
    ):
        convert_raw(raw, tmp_path / "out", "mldr", negatives=True)


def test_truncated_archive_is_refused(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", corpus=CORPUS * 100)
    path = raw / "corpus.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"corpus.jsonl.gz:\d+: expected a whole gzip file"):
        convert_raw(raw, tmp_path / "out", "mldr", negatives=True)
