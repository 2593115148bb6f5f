"""Training data of the Nemotron recipes, documents by id or written out."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retune.core.errors import InputError
from tests.support.conversion import convert_raw

TEXTS = {"d_1": "Rust eats iron.", "d_2": "Copper turns green.", "d_3": "Gold stays bright."}


def record(
    number: int | str, question: str, positives: Any, negatives: Any, corpus_id: str = "metals"
) -> dict[str, Any]:
    row = {"question_id": f"q{number}", "question": question, "corpus_id": corpus_id}
    return row | {"pos_doc": positives, "neg_doc": negatives}


DATA = [
    record(0, "what rusts", [{"id": "d_1"}], [{"id": "d_2"}, "d_3"]),
    record(1, "what changes", [{"id": "d_1"}, "d_2"], []),
]


def write(raw: Path, data: list[dict[str, Any]], corpus: Any = None, **metadata: str) -> Path:
    write_corpus(raw / "corpus", TEXTS, **{"corpus_id": "metals"} | metadata)
    write_json(raw / "train.json", {"corpus": corpus or {"path": "./corpus/"}, "data": data})
    return raw


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def write_corpus(folder: Path, texts: dict[str, str], **metadata: str) -> None:
    folder.mkdir(parents=True)
    rows = [{"id": doc_id, "text": text} for doc_id, text in texts.items()]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    write_json(folder / "merlin_metadata.json", {"class": "TextQADataset"} | metadata)


def test_records_name_documents_of_the_corpus(tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "raw", DATA), tmp_path / "out", "nemotron", file="train.json")
    assert data.texts() == TEXTS
    assert data.queries() == {"q0": "what rusts", "q1": "what changes"}
    assert data.judged() == {
        ("what rusts", "Rust eats iron.", 1),
        ("what rusts", "Copper turns green.", 0),
        ("what rusts", "Gold stays bright.", 0),
        ("what changes", "Rust eats iron.", 1),
        ("what changes", "Copper turns green.", 1),
    }


@pytest.mark.parametrize("corpus", ["corpus", {"path": "corpus"}, ["./corpus"], [{"path": "../raw/corpus/"}]])
def test_corpus_may_be_a_path_an_object_or_a_list(corpus: Any, tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "raw", DATA, corpus), tmp_path / "out", "nemotron", file="train.json")
    assert data.counts() == {"train": (2, 5)}


def test_several_corpora_each_have_their_prompt(tmp_path: Path) -> None:
    rows = [DATA[0], record(2, "what floats", ["w_1"], [], corpus_id="woods")]
    raw = write(tmp_path / "raw", rows, ["corpus", {"path": "woods"}], query_instruction="Name the metal: ")
    write_corpus(raw / "woods", {"w_1": "Balsa floats."}, corpus_id="woods")
    data = convert_raw(raw, tmp_path / "out", "nemotron", file="train.json")
    prompts = data.splits["train"].queries.set_index("query_id")["prompt"].to_dict()
    assert prompts["q0"] == "Name the metal: "
    assert not isinstance(prompts["q2"], str)
    assert len(data.corpus) == 4


def test_unrolled_records_are_merged_again(tmp_path: Path) -> None:
    rows = [record("1_0", "what changes", ["d_1"], ["d_3"]), record("1_1", "what changes", ["d_2"], ["d_3"])]
    data = convert_raw(
        write(tmp_path / "raw", rows), tmp_path / "out", "nemotron", file="train.json", merge_queries=True
    )
    assert data.queries() == {"q1_0": "what changes"}
    assert data.judged() == {
        ("what changes", "Rust eats iron.", 1),
        ("what changes", "Copper turns green.", 1),
        ("what changes", "Gold stays bright.", 0),
    }


def test_paths_begin_where_the_file_lies(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", DATA)
    (raw / "mined").mkdir()
    write_json(raw / "mined/train_mined.automodel.json", {"corpus": {"path": "../corpus"}, "data": DATA[:1]})
    data = convert_raw(raw, tmp_path / "out", "nemotron", file="mined/train_mined.automodel.json")
    assert data.counts() == {"train": (1, 3)}


INLINE = [
    {"query": "what rusts", "pos_doc": "Rust eats iron.", "neg_doc": ["Gold stays bright."]},
    {"question": "what changes", "pos_doc": ["Rust eats iron.", {"text": "Copper turns green."}], "neg_doc": None},
    {"query": "what shines", "pos_doc": {"text": "Gold stays bright."}, "neg_doc": "Rust eats iron."},
]


@pytest.mark.parametrize("name", ["lines.jsonl", "array.json", "data.json"])
def test_records_with_texts_need_no_corpus(name: str, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    write_json(raw / "array.json", INLINE)
    write_json(raw / "data.json", {"data": INLINE})
    (raw / "lines.jsonl").write_text("".join(json.dumps(row) + "\n" for row in INLINE))
    data = convert_raw(raw, tmp_path / "out", "nemotron", file=name)
    assert data.queries() == {"q1": "what rusts", "q2": "what changes", "q3": "what shines"}
    assert data.judged() == {
        ("what rusts", "Rust eats iron.", 1),
        ("what rusts", "Gold stays bright.", 0),
        ("what changes", "Rust eats iron.", 1),
        ("what changes", "Copper turns green.", 1),
        ("what shines", "Gold stays bright.", 1),
        ("what shines", "Rust eats iron.", 0),
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (record(0, "x", ["d_1"], [], corpus_id="woods"), "data.0: corpus_id: expected 'metals', got 'woods'"),
        (record(0, "x", [True], []), "data.0: doc_id: expected text or a whole number, got True"),
        ({"question_id": "q0", "question": "x", "corpus_id": "metals", "pos_doc": []}, "data.0: expected neg_doc, got"),
        (7, "data.0: expected a JSON object, got int"),
    ],
)
def test_wrong_records_are_refused(row: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        convert_raw(write(tmp_path / "raw", [row]), tmp_path / "out", "nemotron", file="train.json")


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ("../elsewhere", "corpus: expected a folder inside .*raw, which DVC tracks, got '../elsewhere'; move it"),
        ("/abs/corpus", "corpus: expected a folder inside .*raw, which DVC tracks, got '/abs/corpus'; move it"),
        ([7], "corpus: expected a path, an object with a path or a list of these, got 7"),
        ("nowhere", r"nowhere/merlin_metadata.json: expected a file, found nothing"),
    ],
)
def test_wrong_corpora_are_refused(corpus: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        convert_raw(write(tmp_path / "raw", DATA, corpus), tmp_path / "out", "nemotron", file="train.json")


def test_corpus_without_documents_is_refused(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", DATA)
    (raw / "corpus/train.parquet").unlink()
    with pytest.raises(InputError, match="corpus: expected documents as .parquet or .jsonl, found none"):
        convert_raw(raw, tmp_path / "out", "nemotron", file="train.json")
