"""Each layout to the byte, what it leaves out, and what is refused."""

import logging
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from small_sets import mined_set, small_dataset

from retune import records
from retune.errors import InputError
from retune.exporting import export
from retune.layouts import LAYOUTS
from stages import export_data


def export_small(layout: str, tmp_path: Path) -> dict[str, str]:
    """Export the small data set; return the text of its files that are text."""
    records.write_dataset(tmp_path / "set", small_dataset())
    export_data.main(layout, dataset=tmp_path / "set", out=tmp_path / "out")
    files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.suffix != ".parquet")
    return {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes().decode() for path in files}


def test_flagembedding_is_rows_with_equal_keys_and_a_corpus(tmp_path: Path) -> None:
    assert export_small("flagembedding", tmp_path) == {
        "corpus.jsonl": r"""
{"id": "d1", "title": "Tides", "text": "The moon pulls."}
{"id": "d2", "title": "", "text": "Salt \"rock\"\nis dry."}
{"id": "d3", "title": "", "text": "中"}
""".lstrip(),
        "test.jsonl": r"""
{"query": "moon", "pos": ["Tides The moon pulls."], "neg": [], "pos_scores": null, "neg_scores": null, "prompt": "", "query_id": "q3", "pos_ids": ["d1"], "neg_ids": [], "answer": "", "pos_relevance": null}
""".lstrip(),
        "train.jsonl": r"""
{"query": "why tides", "pos": ["Tides The moon pulls."], "neg": ["Salt \"rock\"\nis dry."], "pos_scores": [1.5], "neg_scores": [-0.25], "prompt": "Find: ", "query_id": "q1", "pos_ids": ["d1"], "neg_ids": ["d2"], "answer": "", "pos_relevance": [2]}
{"query": "what is salt", "pos": ["Salt \"rock\"\nis dry."], "neg": ["Tides The moon pulls.", "中"], "pos_scores": null, "neg_scores": null, "prompt": "", "query_id": "q2", "pos_ids": ["d2"], "neg_ids": ["d1", "d3"], "answer": "rock", "pos_relevance": null}
""".lstrip(),
    }


def test_beir_is_corpus_queries_and_qrels_of_the_splits_with_queries(tmp_path: Path) -> None:
    assert export_small("beir", tmp_path) == {
        "corpus.jsonl": r"""
{"_id": "d1", "title": "Tides", "text": "The moon pulls.", "metadata": {}}
{"_id": "d2", "title": "", "text": "Salt \"rock\"\nis dry.", "metadata": {}}
{"_id": "d3", "title": "", "text": "中", "metadata": {}}
""".lstrip(),
        "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq3\td1\t1\n",
        "qrels/train.tsv": ("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td2\t1\nq2\td1\t0\nq2\td3\t0\n"),
        "queries.jsonl": r"""
{"_id": "q1", "text": "why tides", "metadata": {"prompt": "Find: "}}
{"_id": "q2", "text": "what is salt", "metadata": {"answer": "rock"}}
{"_id": "q3", "text": "moon", "metadata": {}}
""".lstrip(),
    }


def test_rag_json_is_one_object(tmp_path: Path) -> None:
    assert export_small("rag_json", tmp_path) == {
        "dataset.json": r"""
{
  "queries": {
    "q1": "why tides",
    "q2": "what is salt",
    "q3": "moon"
  },
  "corpus": {
    "d1": "Tides The moon pulls.",
    "d2": "Salt \"rock\"\nis dry.",
    "d3": "中"
  },
  "relevant_docs": {
    "q1": [
      "d1"
    ],
    "q2": [
      "d2"
    ],
    "q3": [
      "d1"
    ]
  },
  "negative_docs": {
    "q1": [
      "d2"
    ],
    "q2": [
      "d1",
      "d3"
    ]
  },
  "reference_answers": {
    "q2": "rock"
  },
  "queries_split": {
    "train": [
      "q1",
      "q2"
    ],
    "dev": [],
    "test": [
      "q3"
    ]
  }
}
""".lstrip()
    }


def test_sentence_transformers_is_rows_with_as_many_negatives_as_every_query_has(tmp_path: Path) -> None:
    assert export_small("sentence_transformers", tmp_path) == {
        "test.jsonl": '{"anchor": "moon", "positive": "Tides The moon pulls."}\n',
        "train.jsonl": r"""
{"anchor": "why tides", "positive": "Tides The moon pulls.", "negative_1": "Salt \"rock\"\nis dry."}
{"anchor": "what is salt", "positive": "Salt \"rock\"\nis dry.", "negative_1": "Tides The moon pulls."}
""".lstrip(),
    }


def test_mteb_is_parquet_without_nulls_and_a_card_that_names_the_configs(tmp_path: Path) -> None:
    assert export_small("mteb", tmp_path) == {
        "README.md": """
---
configs:
- config_name: corpus
  data_files:
  - split: corpus
    path: corpus/corpus-*
- config_name: queries
  data_files:
  - split: queries
    path: queries/queries-*
- config_name: qrels
  data_files:
  - split: train
    path: qrels/train-*
  - split: test
    path: qrels/test-*
- config_name: instruction
  data_files:
  - split: instruction
    path: instruction/instruction-*
---
""".lstrip()
    }
    parquet = sorted((tmp_path / "out").rglob("*.parquet"))
    assert {path.relative_to(tmp_path / "out").as_posix(): pq.read_table(path).to_pylist() for path in parquet} == {
        "corpus/corpus-00000-of-00001.parquet": [
            {"_id": "d1", "title": "Tides", "text": "The moon pulls."},
            {"_id": "d2", "title": "", "text": 'Salt "rock"\nis dry.'},
            {"_id": "d3", "title": "", "text": "中"},
        ],
        "instruction/instruction-00000-of-00001.parquet": [
            {"query-id": "q1", "instruction": "Find: "},
            {"query-id": "q2", "instruction": ""},
            {"query-id": "q3", "instruction": ""},
        ],
        "qrels/test-00000-of-00001.parquet": [{"query-id": "q3", "corpus-id": "d1", "score": 1}],
        "qrels/train-00000-of-00001.parquet": [
            {"query-id": "q1", "corpus-id": "d1", "score": 2},
            {"query-id": "q1", "corpus-id": "d2", "score": 0},
            {"query-id": "q2", "corpus-id": "d2", "score": 1},
            {"query-id": "q2", "corpus-id": "d1", "score": 0},
            {"query-id": "q2", "corpus-id": "d3", "score": 0},
        ],
        "queries/queries-00000-of-00001.parquet": [
            {"_id": "q1", "text": "why tides", "answer": ""},
            {"_id": "q2", "text": "what is salt", "answer": "rock"},
            {"_id": "q3", "text": "moon", "answer": ""},
        ],
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_second_export_has_equal_bytes(layout: str, tmp_path: Path) -> None:
    records.write_dataset(tmp_path / "set", small_dataset())
    written = []
    for name in ("one", "two"):
        export(layout, tmp_path / "set", tmp_path / name)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        written.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert written[0] == written[1]


def test_jsonl_exports_load_with_datasets(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    columns = {}
    for layout in ("flagembedding", "sentence_transformers"):
        export_small(layout, tmp_path / layout)
        file = str(tmp_path / layout / "out" / "train.jsonl")
        loaded = datasets.load_dataset("json", data_files=file, split="train", cache_dir=cache)
        columns[layout] = loaded.column_names
        assert len(loaded) == 2
    assert columns["sentence_transformers"] == ["anchor", "positive", "negative_1"]  # their order is their role
    assert columns["flagembedding"][:6] == ["query", "pos", "neg", "pos_scores", "neg_scores", "prompt"]


def test_mteb_export_loads_by_config_with_datasets(tmp_path: Path) -> None:
    export_small("mteb", tmp_path)
    folder, cache = str(tmp_path / "out"), str(tmp_path / "cache")
    assert datasets.load_dataset(folder, "corpus", split="corpus", cache_dir=cache)["_id"][:] == ["d1", "d2", "d3"]
    assert datasets.load_dataset(folder, "qrels", split="test", cache_dir=cache)[0]["score"] == 1


LEFT_OUT = {
    "flagembedding": {"titles (put before the texts)": 1},
    "beir": {"scores": 2},
    "rag_json": {"titles (put before the texts)": 1, "prompts": 1, "grades above 1 (written as 1)": 1, "scores": 2},
    "sentence_transformers": {
        "titles (put before the texts)": 1,
        "prompts": 1,
        "answers": 1,
        "grades above 1 (written as 1)": 1,
        "scores": 2,
        "ids": 6,
        "negatives that not every query of the split has": 1,
        "documents in no row": 1,
    },
    "mteb": {"scores": 2},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_layout_has_no_place_for_is_logged_with_its_count(
    layout: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="retune"):
        export_small(layout, tmp_path)
    expected = [f"{layout} has no place for {kind}: {count}" for kind, count in LEFT_OUT[layout].items()]
    assert caplog.messages == expected


def test_scores_of_a_query_that_has_them_for_some_documents_only_are_left_out_of_flagembedding(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = small_dataset()
    one = dataset.splits["train"].scores[:1]
    train = records.Split(dataset.splits["train"].queries, dataset.splits["train"].qrels, one)
    records.write_dataset(tmp_path / "set", records.Dataset(dataset.corpus, dataset.splits | {"train": train}))
    with caplog.at_level(logging.INFO, logger="retune"):
        export("flagembedding", tmp_path / "set", tmp_path / "out")
    assert "flagembedding has no place for scores of queries that have documents without: 1" in caplog.messages
    assert "pos_scores" not in (tmp_path / "out" / "train.jsonl").read_text()


def test_source_of_mined_examples_is_logged_as_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records.write_mined(tmp_path / "set", mined_set())
    with caplog.at_level(logging.INFO, logger="retune"):
        export("beir", tmp_path / "set", tmp_path / "out")
    assert "no layout has a place for the source of mined examples: 2" in caplog.messages


def test_unknown_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"layout: expected one of flagembedding, beir, .*, got 'csv'"):
        export("csv", tmp_path, tmp_path / "out")


def test_folder_of_neither_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected corpus.parquet \(a converted set\) or examples.parquet"):
        export("beir", tmp_path, tmp_path / "out")


def test_folder_with_content_is_not_written_over(tmp_path: Path) -> None:
    records.write_dataset(tmp_path / "set", small_dataset())
    (tmp_path / "out").mkdir()
    export("beir", tmp_path / "set", tmp_path / "out")
    with pytest.raises(InputError, match=r"out: expected a new or empty folder, got one with content"):
        export("beir", tmp_path / "set", tmp_path / "out")


def test_set_without_queries_has_no_pairs_to_export(tmp_path: Path) -> None:
    empty = dict.fromkeys(records.SPLITS, records.empty_split())
    records.write_dataset(tmp_path / "set", records.Dataset(small_dataset().corpus, empty))
    with pytest.raises(InputError, match=r"sentence_transformers: expected queries in train, dev or test, got none"):
        export("sentence_transformers", tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_id_of_two_queries_is_refused(tmp_path: Path) -> None:
    dataset = small_dataset()
    splits = dataset.splits | {"test": dataset.splits["train"]}
    records.write_dataset(tmp_path / "set", records.Dataset(dataset.corpus, splits))
    with pytest.raises(InputError, match=r"expected each query_id once in all splits, got 'q1' twice"):
        export("beir", tmp_path / "set", tmp_path / "out")


def test_infinite_score_is_refused(tmp_path: Path) -> None:
    dataset = small_dataset()
    train = dataset.splits["train"]
    infinite = records.Split(train.queries, train.qrels, train.scores.assign(score=np.inf))
    records.write_dataset(tmp_path / "set", records.Dataset(dataset.corpus, dataset.splits | {"train": infinite}))
    with pytest.raises(InputError, match=r"expected finite scores"):
        export("flagembedding", tmp_path / "set", tmp_path / "out")
