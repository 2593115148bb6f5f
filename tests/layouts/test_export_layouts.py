"""Each layout byte for byte, and as other tools load it."""

from pathlib import Path

import datasets
import pyarrow.parquet as pq

from tests.support.small_sets import export_small


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
