"""Queries without judgments: how they are read, and what is written for them."""

from pathlib import Path

import pandas as pd
import pytest

from retune.core.errors import InputError
from retune.core.files import write_json
from retune.fetching import fetch
from retune.params.fetch import Lexical
from retune.params.fuse import Fuse
from retune.params.predict import Predict
from retune.retrieval import retriever
from retune.retrieval.prediction import predict, read_queries, write
from tests.support.conversion import convert_raw
from tests.support.keyword_encoder import KeywordEncoder
from tests.support.parameters import COMPUTE
from tests.support.repository import SHARED_DATA
from tests.support.systems import write_bm25

HEADER = (
    "QuestionId,ConstructId,ConstructName,SubjectId,SubjectName,CorrectAnswer,QuestionText,"
    "AnswerAText,AnswerBText,AnswerCText,AnswerDText\n"
)
LABELS = ",".join(f"Misconception{letter}Id" for letter in "ABCD")
LABELLED = f"{HEADER.rstrip()},{LABELS}\n1,5,Multiply,9,Numbers,B,Q,5,6,7,8,12,,,{{}}\n"
FUSE = Fuse(first="words", second="colours", method="rrf", depth=9)
CORPUS = pd.DataFrame({"doc_id": ["7", "12", "30"], "title": None, "text": ["red", "red green", "green"]})


def params(layout: str, *, prompt: str | None = None, k: int = 2, pseudo_labels: bool = False) -> Predict:
    return Predict(
        model="words", dataset="eedi", queries="x", layout=layout, prompt=prompt, k=k, pseudo_labels=pseudo_labels
    )


def test_every_wrong_answer_is_a_query(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text(HEADER + '1869,5,Multiply,9,Numbers,B,"What is\n\\(2\\)?",5, 6 ,-6,1\n')
    queries = read_queries(path, params("eedi", prompt="Find: "))
    assert queries["query_id"].tolist() == ["1869_A", "1869_C", "1869_D"]
    text = "Question: What is\n\\(2\\)?\nHint: Multiply\nCorrect answer: 6\nWrong answer: 5"
    assert queries["text"][0] == text  # as the data set's own queries read
    assert queries["prompt"].tolist() == ["Find: "] * 3


def test_only_wrong_answers_without_a_misconception_are_pseudo_labelled(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text(LABELLED.format("30") + "2,5,Multiply,9,Numbers,A,Q,5,6,7,8,,1,2,3\n")
    queries = read_queries(path, params("eedi_unlabelled"))
    assert queries["query_id"].tolist() == ["1_C"]
    assert queries["text"][0].endswith("\nCorrect answer: 6\nWrong answer: 7")


def test_pseudo_labels_are_a_data_set_that_convert_reads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fetch.fetch(Lexical(source="bm25"), tmp_path / "words", where="x")
    queries = pd.DataFrame({"query_id": ["a", "b"], "text": ["square", "green"], "prompt": None})
    chosen = params("queries", k=1, pseudo_labels=True)
    found = predict(tmp_path / "words", "made", CORPUS, queries, chosen, COMPUTE)
    write(tmp_path / "out", found, queries, CORPUS, chosen)
    result = convert_raw(tmp_path / "out", tmp_path / "dataset", "beir")
    assert result.judged("train") == {("green", "green", 1)}
    assert result.corpus["doc_id"].tolist() == ["7", "12", "30"]
    assert "1 of 2 queries found no document, and have no pseudo-label" in caplog.text
    with pytest.raises(InputError, match="x: expected a document for at least one query, got none from words in eedi"):
        write(tmp_path / "none", found[:0], queries, CORPUS, chosen)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.jsonl", '{"query_id": "a", "text": "red"}\n{"_id": "b", "text": "green, or so"}\n'),
        ("q.csv", 'query_id,text\na,red\nb,"green, or so"\n'),
        ("q.csv", 'id,query\na,red\nb,"green, or so"\n'),
        ("q.jsonl", '{"qid": "a", "question": "red"}\n{"query-id": "b", "query_text": "green, or so"}\n'),
        ("q.tsv", "a\tred\nb\tgreen, or so\n"),
        ("q.tsv", "qid\tquery\na\tred\nb\tgreen, or so\n"),
    ],
)
def test_lists_of_ids_and_texts_are_read(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    queries = read_queries(tmp_path / name, params("queries"))
    assert queries.to_numpy().tolist() == [["a", "red", None], ["b", "green, or so", None]]


@pytest.mark.parametrize(
    ("layout", "name", "text", "message"),
    [
        ("queries", "q.tsv", "a\tred\na\tgreen\n", r"q.tsv:2: query_id: .* got 'a' again, first at .*q.tsv:1"),
        ("queries", "q.jsonl", '{"_id": "a", "text": ""}\n', r"q.jsonl:1: text: expected non-empty text, got ''"),
        (
            "queries",
            "q.jsonl",
            '{"key": "a", "text": "b"}\n',
            r"q.jsonl:1: expected query_id .or one of _id, .*, got the columns key, text",
        ),
        ("queries", "q.jsonl", '{"_id": "a", "query": "b", "question": "c"}\n', r"q.jsonl:1: expected text .or one of"),
        ("queries", "q.csv", "a,red\nb,green\n", r"q.csv:2: expected query_id .or one of .*, got the columns a, red"),
        ("queries", "q.csv", "query_id,text\n", r"q.csv: expected queries, got none"),
        ("queries", "q.txt", "a\tred\n", r"q.txt: expected .jsonl, .csv or .tsv, got '.txt'"),
        ("eedi_unlabelled", "train.csv", LABELLED.format("nan"), r"train.csv:2: expected a whole number as a misc"),
        ("eedi", "test.csv", "QuestionId,QuestionText\n1,x\n", r"test.csv:2: expected ConstructName, CorrectAnswer, "),
        ("eedi", "test.csv", f"{HEADER}1,5,M,9,N,E,Q,5,6,7,8\n", r"test.csv:2: CorrectAnswer: expected A, B, C or D"),
    ],
)
def test_wrong_queries_are_refused(layout: str, name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_queries(tmp_path / name, params(layout))


def test_best_documents_are_written_for_a_competition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retriever.Encoder, "load", lambda *_, **__: KeywordEncoder("red", "green"))
    queries = pd.DataFrame({"query_id": ["1_A", "1_C"], "text": ["red", "green"], "prompt": None})
    found = predict(tmp_path, "made", CORPUS, queries, params("eedi"), COMPUTE)
    write(tmp_path / "out", found, queries, CORPUS, params("eedi"))
    assert (tmp_path / "out/submission.csv").read_text() == (
        "QuestionId_Answer,MisconceptionId\n1_A,7 12\n1_C,30 12\n"  # red: 1, 0.707, 0; green: 0, 0.707, 1
    )
    lines = (tmp_path / "out/run.trec").read_text().splitlines()
    assert [line.rsplit(" ", 2)[0] for line in lines] == ["1_A Q0 7 1", "1_A Q0 12 2", "1_C Q0 30 1", "1_C Q0 12 2"]


def test_list_of_queries_gives_a_run_alone_and_query_without_a_document_stays_in_a_submission(tmp_path: Path) -> None:
    fetch.fetch(Lexical(source="bm25"), tmp_path / "words", where="x")
    queries = pd.DataFrame({"query_id": ["1_A", "1_C"], "text": ["square", "green"], "prompt": None})
    found = predict(tmp_path / "words", "made", CORPUS, queries, params("queries", k=9), COMPUTE)
    write(tmp_path / "list", found, queries, CORPUS, params("queries"))
    assert [path.name for path in (tmp_path / "list").iterdir()] == ["run.trec"]
    write(tmp_path / "eedi", found, queries, CORPUS, params("eedi"))
    assert (tmp_path / "eedi/submission.csv").read_text().splitlines()[1:] == ["1_A,", "1_C,30 12"]


def test_system_answers_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retriever.Encoder, "load", lambda *_, **__: KeywordEncoder("red", "green", "blue"))
    (tmp_path / "colours").mkdir()
    write_json(tmp_path / "both/system.json", {"fuse": FUSE.model_dump()})
    write_bm25(tmp_path / "both/words")
    queries = pd.DataFrame({"query_id": ["a"], "text": ["green"], "prompt": None})
    found = predict(tmp_path / "both", "made", CORPUS, queries, params("queries", k=2), COMPUTE)
    # by words: 30, the shortest, then 12, and 7 is not found; by vectors: 30, 12, 7
    assert found["doc_id"].tolist() == ["30", "12"]
    assert found["score"].tolist() == pytest.approx([2 / 61, 2 / 62])


@pytest.mark.skipif(not (SHARED_DATA / "eedi").is_dir(), reason="real Eedi data is not beside the repository")
def test_submission_has_the_rows_of_the_competition_s_sample(tmp_path: Path) -> None:
    raw = SHARED_DATA / "eedi/raw_data"
    sample = pd.read_csv(raw / "sample_submission.csv")
    queries = read_queries(raw / "test.csv", params("eedi"))
    fetch.fetch(Lexical(source="bm25"), tmp_path / "words", where="x")
    names = pd.read_csv(raw / "misconception_mapping.csv", dtype=str).set_axis(["doc_id", "text"], axis=1)
    found = predict(tmp_path / "words", "made", names.assign(title=None), queries, params("eedi", k=25), COMPUTE)
    write(tmp_path / "out", found, queries, CORPUS, params("eedi"))
    written = pd.read_csv(tmp_path / "out/submission.csv")
    assert written.columns.tolist() == sample.columns.tolist()
    assert written["QuestionId_Answer"].tolist() == sample["QuestionId_Answer"].tolist()
    assert written["MisconceptionId"].str.split().str.len().tolist() == [25] * len(sample)
