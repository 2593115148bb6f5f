"""Each format on small files in its exact shape, and on the real data where it is there."""

import json
from pathlib import Path

import pandas as pd
import pytest
from conftest import REPOSITORY, SHARED_DATA

from retune import records
from retune.converters import beir, eedi, python_docs, rag_json
from retune.converting import convert
from retune.errors import InputError

SHARED = {"raw": "raw", "merge_queries": False, "split_by": "query"}
EEDI = eedi.Params(format="eedi", prompt=None, dev=0.1, test="given", **SHARED | {"split_by": "group"})
BEIR = beir.Params(format="beir", dev=0.0, test="given", **SHARED)
RAG = rag_json.Params(format="rag_json", val_is_test=True, dev=0.0, test="given", **SHARED)


def docs_params(**changes: object) -> python_docs.Params:
    values = {
        "packages": ["datasketch_like"],
        "min_query_words": 4,
        "min_characters": 80,
        "max_characters": 200,
        "max_documents": 100,
        "dev": 0.0,
        "test": 0.0,
    }
    return python_docs.Params(**{"format": "python_docs"} | SHARED | values | changes)


EEDI_HEADER = (
    "QuestionId,ConstructId,ConstructName,SubjectId,SubjectName,CorrectAnswer,QuestionText,"
    "AnswerAText,AnswerBText,AnswerCText,AnswerDText,"
    "MisconceptionAId,MisconceptionBId,MisconceptionCId,MisconceptionDId\n"
)


def write_eedi(folder: Path, train: str = "", test: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    names = 'MisconceptionId,MisconceptionName\n7,"Adds, not multiplies"\n12, Forgets the sign \n'
    (folder / "misconception_mapping.csv").write_text(names)
    row = '1,5,Multiply,9,Numbers,B,"What is\n\\(2 \\times 3\\)?",5, 6 ,-6,1,7.0,,12.0,\n'
    (folder / "train.csv").write_text(EEDI_HEADER + (train or row))
    (folder / "test.csv").write_text(EEDI_HEADER + (test or row.replace("1,5,", "2,5,", 1)))
    return folder


def test_eedi_makes_a_query_of_every_labelled_wrong_answer(tmp_path: Path) -> None:
    source = eedi.read(write_eedi(tmp_path / "eedi"), EEDI)
    assert source.queries["query_id"].tolist() == ["1_A", "1_C", "2_A", "2_C"]
    assert source.queries["split"].tolist() == ["train", "train", "test", "test"]
    assert source.queries["text"].iloc[0] == (
        "Question: What is\n\\(2 \\times 3\\)?\nHint: Multiply\nCorrect answer: 6\nWrong answer: 5"
    )
    assert source.corpus["text"].tolist() == ["Adds, not multiplies", "Forgets the sign"]
    assert source.qrels["doc_id"].tolist() == ["7", "12", "7", "12"]


def test_eedi_id_that_is_no_number_is_refused(tmp_path: Path) -> None:
    raw = write_eedi(tmp_path / "eedi", train="1,5,M,9,N,B,Q,5,6,7,8,x,,,\n")
    with pytest.raises(InputError, match=r"train.csv: question 1: expected a misconception's number, got 'x'"):
        eedi.read(raw, EEDI)


def test_eedi_answer_that_is_no_letter_is_refused(tmp_path: Path) -> None:
    raw = write_eedi(tmp_path / "eedi", train="1,5,M,9,N,E,Q,5,6,7,8,7.0,,,\n")
    with pytest.raises(InputError, match=r"question 1: CorrectAnswer: expected A, B, C or D, got 'E'"):
        eedi.read(raw, EEDI)


def test_eedi_missing_column_is_named(tmp_path: Path) -> None:
    raw = write_eedi(tmp_path / "eedi")
    (raw / "train.csv").write_text("QuestionId\n1\n")
    with pytest.raises(InputError, match=r"train.csv:1: expected columns .* got none named ConstructName, "):
        eedi.read(raw, EEDI)


@pytest.mark.skipif(not (SHARED_DATA / "eedi").is_dir(), reason="real Eedi data is not beside the repository")
@pytest.mark.parametrize(("split", "train", "test"), [("validation_v2", 2504, 1866), ("cross_validation", 3506, 864)])
def test_eedi_counts_of_the_real_splits(split: str, train: int, test: int) -> None:
    dataset, statistics = convert(EEDI, SHARED_DATA / "eedi/raw_data" / split, seed=13, where="convert.eedi")
    counts = {name: len(part.queries) for name, part in dataset.splits.items()}
    assert counts["train"] + counts["dev"] == train
    assert counts["test"] == test
    assert len(dataset.corpus) == 2586
    assert statistics["dropped"] == {"equal text": 1}


def test_eedi_queries_equal_the_published_ones() -> None:
    published = SHARED_DATA / "eedi/embedder_train_eval_data/cross_validation/hn_mine_test_input.jsonl"
    if not published.is_file():
        pytest.skip("real Eedi data is not beside the repository")
    expected = [json.loads(line)["query"] for line in published.read_text(encoding="utf-8").split("\n") if line]
    source = eedi.read(SHARED_DATA / "eedi/raw_data/cross_validation", EEDI)
    assert sorted(source.queries.loc[source.queries["split"] == "test", "text"]) == sorted(expected)


def write_beir(folder: Path, **files: str) -> Path:
    contents = {
        "corpus.jsonl": '\ufeff{"_id":"1","title":"T","text":"one"}\r\n{"_id":"2","title":"","text":"two"}',
        "queries.jsonl": '{"_id":"a","text":"first"}\n{"_id":"b","text":"second"}\n{"_id":"c","text":"third"}\n',
        "qrels/train.tsv": "query-id\tcorpus-id\tscore\r\na\t1\t2\r\na\t2\t0\r\n",
        "qrels/test.tsv": "b\t2\t1\n",
    }
    for name, text in (contents | files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def test_beir_reads_bom_carriage_returns_and_optional_headers(tmp_path: Path) -> None:
    source = beir.read(write_beir(tmp_path), BEIR)
    assert source.corpus.astype(object).where(source.corpus.notna(), None).to_numpy().tolist() == [
        ["1", "T", "one"],
        ["2", None, "two"],
    ]
    assert source.queries[["query_id", "split"]].to_numpy().tolist() == [["a", "train"], ["b", "test"]]
    assert source.qrels[["query_id", "doc_id", "relevance"]].to_numpy().tolist() == [
        ["a", "1", 2],
        ["a", "2", 0],
        ["b", "2", 1],
    ]
    assert source.dropped == {
        "negative score taken for 0": 0,
        "query without judgments": 1,
        "judgment in a second split": 0,
    }


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "corpus.jsonl",
            '{"_id":"1","text":"x"}\n{"_id":2}\n',
            r"corpus.jsonl:2: expected a non-empty string at '_id', got 2",
        ),
        ("corpus.jsonl", '{"_id":"1","text":" "}\n', r"corpus.jsonl:1: expected a non-empty string at 'text', got ' '"),
        ("queries.jsonl", "[1]\n", r"queries.jsonl:1: expected a JSON object, got list"),
        ("queries.jsonl", '{"_id":\n', r"queries.jsonl:1: expected a JSON object, got Expecting value"),
        (
            "queries.jsonl",
            '{"_id":"a","text":"x"}\n{"_id":"a","text":"y"}\n',
            r"queries.jsonl:2: expected each query _id once",
        ),
        ("qrels/train.tsv", "a\t1\n", r"train.tsv:1: expected 3 fields separated by tabs, got 2"),
        ("qrels/train.tsv", "a\t1\thigh\n", r"train.tsv:1: expected a whole number as score, got 'high'"),
        ("corpus.jsonl", "", r"corpus.jsonl: expected data, got an empty file"),
    ],
)
def test_beir_error_names_file_and_line(file: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        beir.read(write_beir(tmp_path, **{file: text}), BEIR)


def test_beir_reads_real_judgments() -> None:
    qrels = SHARED_DATA / "beir_qrels_only/scifact/qrels/test.tsv"
    if not qrels.is_file():
        pytest.skip("real BEIR judgments are not beside the repository")
    assert len(beir._qrels(qrels)) == len(qrels.read_text().split("\n")) - 2  # header and final newline


RAG_CONTENT = {
    "queries": {"q-0": "first", "q-1": "second"},
    "corpus": {"c-0": "one", "c-1": "two"},
    "relevant_docs": {"q-0": ["c-0"], "q-1": ["c-1"]},
    "negative_docs": {"q-0": ["c-1"]},
    "reference_answers": {"q-1": "yes"},
    "queries_split": {"train": ["q-0"], "val": ["q-1"]},
}


def write_rag(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps(RAG_CONTENT | changes), encoding="utf-8")
    return path


def test_rag_json_keeps_negatives_answers_and_splits(tmp_path: Path) -> None:
    dataset, _ = convert(RAG, write_rag(tmp_path / "rag.json"), seed=0, where="convert.rag")
    assert dataset.splits["train"].qrels[["doc_id", "relevance"]].to_numpy().tolist() == [["c-0", 1], ["c-1", 0]]
    assert dataset.splits["test"].queries["answer"].tolist() == ["yes"]
    assert dataset.splits["dev"].queries.empty


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": []}, "rag.json: corpus: expected an object, got list"),
        ({"corpus": {"c-0": ""}}, "rag.json: corpus: expected a non-empty string at 'c-0', got ''"),
        ({"relevant_docs": {"q-0": "c-0"}}, "relevant_docs.q-0: expected a list of ids as strings, got 'c-0'"),
        ({"queries_split": {"held_out": []}}, "queries_split: expected train, val, dev, test, got 'held_out'"),
        ({"relevant_docs": {}}, "expected queries with relevant documents, got none; dropped: 2 query without"),
        ({"corpus": {}, "relevant_docs": {}}, "rag.json: expected documents, got none"),
        ({"reference_answers": {"q-0": 5}}, "query 'q-0': answer: expected text or null, got 5"),
        ({"queries_split": {"train": ["q-0"], "val": ["q-0"]}}, "expected 'q-0' in one split, got it in two"),
    ],
)
def test_rag_json_error_names_the_place(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        convert(RAG, write_rag(tmp_path / "rag.json", **changes), seed=0, where="convert.rag")


def test_corpus_without_queries_has_empty_splits(tmp_path: Path) -> None:
    empty = {key: {} for key in ("queries", "relevant_docs", "negative_docs", "queries_split", "reference_answers")}
    dataset, statistics = convert(RAG, write_rag(tmp_path / "rag.json", **empty), seed=0, where="convert.rag")
    assert [len(dataset.splits[name].queries) for name in ("train", "dev", "test")] == [0, 0, 0]
    assert statistics["corpus"]["documents"] == 2
    records.write_dataset(tmp_path / "out", dataset)
    assert records.read_split(tmp_path / "out", "train").queries.empty


def test_rag_json_broken_file_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "rag.json").write_text('{"queries": {},\n "corpus": }')
    with pytest.raises(InputError, match=r"rag.json:2: expected JSON, got Expecting value"):
        rag_json.read(tmp_path / "rag.json", RAG)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of one module whose import would fail."""
    folder = tmp_path / "site" / "datasketch_like"
    (folder / "tests").mkdir(parents=True)
    rest = "The rest of the text says at length what it returns and how it came to be."
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "tests" / "test_it.py").write_text(
        f'def test():\n    """Never read in a test folder.\n\n    {rest} {rest}"""\n'
    )
    (folder / "core.py").write_text(
        f'class Sketch:\n    """Estimate how many\n    are there.\n\n    {rest} {rest}\n    """\n'
        f'    def merge(self):\n        """Merge another sketch in.\n\n        {rest} Merged. {rest}"""\n'
        f'    def _hidden(self):\n        """A private method is skipped.\n\n        {rest} {rest}"""\n'
        f'def short():\n    """Has no rest at all."""\n'
        f'def again():\n    """Repeat the same rest.\n\n    {rest} {rest}"""\n'
    )
    info = tmp_path / "site" / "datasketch_like-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: datasketch-like\nVersion: 1.5+local\n")
    (info / "top_level.txt").write_text("datasketch_like\n")
    (info / "RECORD").write_text("datasketch_like/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path


def test_python_docs_splits_documentation_without_importing(package: Path) -> None:
    (package / "lock.txt").write_text("Datasketch_Like==1.5 ; python_version > '3'\n")
    source = python_docs.read(package / "lock.txt", docs_params())
    assert source.queries["query_id"].tolist() == ["datasketch_like.core.Sketch", "datasketch_like.core.Sketch.merge"]
    assert source.queries["text"].tolist() == ["Estimate how many are there.", "Merge another sketch in."]
    assert source.corpus["text"].str.startswith("The rest of the text").all()
    assert source.dropped == {"query or document too short": 1, "document repeated": 1, "above max_documents": 0}


def test_python_docs_limit_is_counted(package: Path) -> None:
    (package / "lock.txt").write_text("datasketch-like==1.5\n")
    source = python_docs.read(package / "lock.txt", docs_params(max_documents=1))
    assert len(source.corpus) == 1
    assert source.dropped["above max_documents"] == 1


@pytest.mark.parametrize(
    ("lock", "packages", "message"),
    [
        ("datasketch-like==1.4\n", ["datasketch_like"], "expected a pin of the installed 1.5, got 1.4"),
        ("other==1\n", ["datasketch_like"], "expected a pin of the installed 1.5, got none"),
        ("other==1\n", ["no_such_package"], "no_such_package: expected an installed package, found none"),
        ("", ["datasketch_like"], "expected data, got an empty file"),
        ("other==1\n", ["json"], "json: expected a package that .* pins, got one that no distribution installed"),
    ],
)
def test_python_docs_needs_the_pinned_version(lock: str, packages: list[str], message: str, package: Path) -> None:
    (package / "lock.txt").write_text(lock)
    with pytest.raises(InputError, match=message):
        python_docs.read(package / "lock.txt", docs_params(packages=packages))


def test_python_docs_of_the_default_run_has_enough_test_queries(default_params: dict) -> None:
    for name, entry in default_params["convert"].items():
        params = python_docs.Params.parse(f"convert.{name}", entry)
        dataset, _ = convert(params, REPOSITORY / entry["raw"], seed=13, where=f"convert.{name}")
        assert len(dataset.splits["test"].queries) >= 300
        documents = {split: set(part.qrels["doc_id"]) for split, part in dataset.splits.items()}
        assert not documents["train"] & documents["test"]
        assert not documents["train"] & documents["dev"]
        assert not documents["dev"] & documents["test"]
        pd.testing.assert_frame_equal(
            dataset.corpus, convert(params, REPOSITORY / entry["raw"], seed=13, where="")[0].corpus
        )
