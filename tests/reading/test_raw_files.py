"""Splits by any of their names, headers by any of theirs, damaged archives, and what is left out is counted."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.reading import lines as reading
from tests.support.conversion import convert_raw
from tests.support.raw_files import BEIR, TABLE, TREC_FILES, lines, write, zipped


def test_quotes_in_tsv_are_ordinary(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", {"a.tsv": b'q\tp\n"Hello there\tA\nWorld"\tB\nx\ty\n'})
    result = convert_raw(raw, tmp_path / "out", "table", **TABLE)
    assert result.judged() == {('"Hello there', "A", 1), ('World"', "B", 1), ("x", "y", 1)}


def test_blank_line_of_csv_is_skipped(tmp_path: Path) -> None:
    result = convert_raw(write(tmp_path / "raw", {"a.csv": b"q,p\nx,y\n   \n"}), tmp_path / "out", "table", **TABLE)
    assert result.judged() == {("x", "y", 1)}


@pytest.mark.parametrize("header", ["docid\ttext", "QID\tquery", "_id\tcontents", ""])
def test_header_of_ids_and_texts_may_be_spelled_otherwise(header: str, tmp_path: Path) -> None:
    files = {"c.tsv": f"{header}\nd1\tx\n".lstrip().encode(), "q.tsv": b"qid\ttext\nq1\ty\n", "r.txt": b"q1 d1\n"}
    names = TREC_FILES | {"documents": ["c.tsv"], "splits": {"train": {"queries": "q.tsv", "qrels": "r.txt"}}}
    result = convert_raw(write(tmp_path / "raw", files), tmp_path / "out", "trec", **names)
    assert (result.judged(), len(result.corpus)) == ({("y", "x", 1)}, 1)


@pytest.mark.parametrize(("limit", "first"), [("MAX_UNPACKED_BYTES", b""), ("MAX_WHOLE_BYTES", b"[")])
def test_archive_that_unpacks_to_too_much_is_refused(
    limit: str, first: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, limit, 1000)
    raw = write(tmp_path / "raw", {"a.zip": zipped(**{"a.json": first + b" " * 2000})})
    with pytest.raises(InputError, match=r"a.zip: expected at most 1000 bytes unpacked, got"):
        convert_raw(raw, tmp_path / "out", "infgrad")


def test_flipped_bit_in_lzma_is_a_damaged_zip(tmp_path: Path) -> None:
    rows = lines(*({"Query": f"q{number}", "Positive Document": "x"} for number in range(200)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.json", rows)
    content = bytearray(buffer.getvalue())
    for place in range(36, 60):
        damaged = bytes(content[:place]) + bytes([content[place] ^ 64]) + bytes(content[place + 1 :])
        with pytest.raises(InputError, match=r"a.zip.*: expected "):
            convert_raw(write(tmp_path / "raw", {"a.zip": damaged}), tmp_path / "out", "infgrad")


@pytest.mark.parametrize(
    ("name", "split"), [("Test", "test"), ("val", "dev"), ("valid", "dev"), ("validation", "dev"), ("DEV", "dev")]
)
@pytest.mark.parametrize("format_name", ["table", "flagembedding"])
def test_splits_go_by_all_their_names(format_name: str, name: str, split: str, tmp_path: Path) -> None:
    row = lines({"q": "a", "p": "x", "query": "a", "pos": ["x"]})
    raw = write(tmp_path / "raw", {"train.jsonl": row.replace(b'"a"', b'"b"'), f"{name}.jsonl": row})
    values = (TABLE if format_name == "table" else {}) | {split: "given"}
    assert convert_raw(raw, tmp_path / "out", format_name, **values).queries(split).popitem()[1] == "a"


def test_table_beside_those_of_splits_is_counted(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", {"train.csv": b"q,p\na,b\n", "extra.csv": b"q,p\nc,d\n"})
    result = convert_raw(raw, tmp_path / "out", "table", **TABLE)
    assert result.statistics["dropped"]["file not called after a split"] == 1


def test_what_belongs_to_no_query_is_counted(tmp_path: Path) -> None:
    content = {
        "queries": {"q": "a"},
        "corpus": {"d": "x"},
        "relevant_docs": {"q": ["d"]},
        "reference_answers": {"z": "y"},
    }
    raw = write(tmp_path / "raw", {"a.json": json.dumps(content).encode()})
    result = convert_raw(raw, tmp_path / "out", "rag_json", val_is_test=True)
    assert result.statistics["dropped"]["unknown query in reference_answers"] == 1
    names = [("q1", "one"), ("q1", "two"), ("z", "lost")]
    task = {
        "corpus.jsonl": BEIR["corpus.jsonl"],
        "queries.jsonl": BEIR["queries.jsonl"],
        "qrels/train.jsonl": lines({"query-id": "q1", "corpus-id": "d1", "score": 1}),
        "instruction.jsonl": lines(*({"query-id": key, "instruction": text} for key, text in names)),
    }
    task_raw = write(tmp_path / "task", task)
    result = convert_raw(task_raw, tmp_path / "out", "mteb", subset=None, nano_beir=False)
    assert result.splits["train"].queries["prompt"].tolist() == ["one"]
    assert result.statistics["dropped"]["instruction of a query that has one"] == 1
    assert result.statistics["dropped"]["instruction of an unknown query"] == 1


@pytest.mark.parametrize("format_name", ["beir", "mteb"])
def test_corpus_may_lie_alone(format_name: str, tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", {"corpus.jsonl": BEIR["corpus.jsonl"], "queries.jsonl": b""})
    values = {"subset": None, "nano_beir": False} if format_name == "mteb" else {}
    result = convert_raw(raw, tmp_path / "out", format_name, **values)
    assert (len(result.corpus), result.counts()) == (2, {})


@pytest.mark.parametrize(
    ("name", "split"), [("Val", "test"), ("validation", "test"), ("dev", "dev"), ("TRAIN", "train")]
)
def test_split_inside_a_file_goes_by_all_its_names(name: str, split: str, tmp_path: Path) -> None:
    content = {
        "queries": {"q": "a"},
        "corpus": {"d": "x"},
        "relevant_docs": {"q": ["d"]},
        "queries_split": {name: ["q"]},
    }
    raw = write(tmp_path / "raw", {"a.json": json.dumps(content).encode()})
    given = {} if split == "train" else {split: "given"}
    result = convert_raw(raw, tmp_path / "out", "rag_json", val_is_test=True, **given)
    assert result.counts() == {split: (1, 1)}


def test_dataset_files_go_by_all_their_names(tmp_path: Path) -> None:
    files = {}
    for name in ("train", "validation"):
        content = {"queries": {name: name}, "corpus": {"d": "x"}, "relevant_docs": {name: ["d"]}}
        files[f"{name}_dataset.json"] = json.dumps(content).encode()
    result = convert_raw(write(tmp_path / "raw", files), tmp_path / "out", "llama_index", dev="given")
    assert result.counts() == {"train": (1, 1), "dev": (1, 1)}
