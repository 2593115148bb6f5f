"""What is wrong with a file is said in one line, with file and line, and nothing is left half-written."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retune.core.errors import InputError
from retune.reading import lines as reading
from tests.support.conversion import convert_raw
from tests.support.raw_files import BEIR, TABLE, TREC_FILES, lines, write, zipped

GUARD = {"near_duplicate": 0.8, "min_words": 4}
IDS = TABLE | {"query_id": "qi", "positive_id": "pi"}


def parquet(**columns: list) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(columns).to_parquet(buffer)
    return buffer.getvalue()


def arrow(names: list[str], *columns: pa.Array) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(list(columns), names=names), buffer)
    return buffer.getvalue()


def beir(name: str, content: bytes) -> dict[str, bytes]:
    return BEIR | {name: content}


MLDR_QUERY = lines({"query_id": "q", "query": "a", "positive_passages": [{"docid": "d", "text": "x"}]})
EEDI_HEADER = b"QuestionId,ConstructName,CorrectAnswer,QuestionText,AnswerAText,AnswerBText,AnswerCText,AnswerDText,MisconceptionAId,MisconceptionBId,MisconceptionCId,MisconceptionDId\n"  # fmt: skip
TEXTS = [pa.array([text]) for text in "abc"]
NO_UTF8 = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe"))
TREC = {"c.jsonl": lines({"id": "d1", "text": "x"}), "r.txt": b"q1 d1\n"}
NEMOTRON = {"train.json": b'{"corpus": {"path": "./c"}, "data": []}', "c/t.jsonl": lines({"id": "a", "text": "b"})}
EEDI_NAMES = b"MisconceptionId,MisconceptionName\n1,Adds\n"

CASES: list[tuple[str, str, dict[str, bytes], dict[str, Any], str]] = [
    # bytes
    ("invalid UTF-8 in JSON lines", "beir", beir("corpus.jsonl", b'{"_id":"d1","text":"one"}\n{"_id":"d2","text":"\xff"}\n'), {}, r"corpus.jsonl:2: expected UTF-8, got invalid start byte"),
    ("UTF-16", "beir", beir("queries.jsonl", '{"_id":"q1","text":"a"}\n'.encode("utf-16")), {}, r"queries.jsonl:1: expected UTF-8"),
    ("invalid UTF-8 in JSON", "rag_json", {"a.json": b'{"queries": {},\n"corpus": "\xff"}'}, {"val_is_test": True}, r"a.json:2: expected UTF-8"),
    ("invalid UTF-8 in CSV", "table", {"a.csv": b"q,p\nx,y\n\xff,z\n"}, TABLE, r"a.csv:\d: expected UTF-8"),
    ("truncated gzip", "mldr", {"train.jsonl.gz": gzip.compress(MLDR_QUERY)[:-10]}, {"negatives": True}, r"train.jsonl.gz:\d+: expected a whole gzip file"),
    ("no gzip at all", "mldr", {"train.jsonl.gz": MLDR_QUERY}, {"negatives": True}, r"train.jsonl.gz:\d: expected a whole gzip file"),
    ("damaged Parquet", "table", {"a.parquet": b"PAR1 nothing PAR1"}, TABLE, r"a.parquet: rows 1 to 10000: expected a Parquet file"),
    ("damaged zip", "infgrad", {"a.zip": b"PK\x03\x04 nothing"}, {}, r"a.zip:1: expected a whole zip"),
    ("zip with a path outside", "infgrad", {"a.zip": zipped(**{"../a.json": b"[]"})}, {}, r"a.zip: .*\.\./a.json"),
    ("zip with an absolute path", "infgrad", {"a.zip": zipped(**{"/etc/a.json": b"[]"})}, {}, r"a.zip: .*/etc/a.json"),
    ("line of 50 MB", "beir", beir("corpus.jsonl", b'{"_id":"d1","text":"' + b"x" * 50_000_000 + b'"}\n'), {}, r"corpus.jsonl:1: expected lines of at most 33554432 bytes, got more"),
    ("empty file", "beir", beir("corpus.jsonl", b""), {}, r"corpus.jsonl: expected data, got an empty file"),
    ("missing file", "beir", {"queries.jsonl": b"x"}, {}, r"corpus.jsonl: expected a file, found nothing"),
    ("folder where a file belongs", "beir", BEIR | {"corpus.jsonl/x": b"x"}, {}, r"corpus.jsonl: expected a file, found a folder"),
    ("several files where one belongs", "rag_json", {"a.json": b"{}", "b.json": b"{}"}, {"val_is_test": True}, r"expected one file \(.json\), found 2"),
    # JSON
    ("malformed JSON on a line", "beir", beir("queries.jsonl", b'{"_id":"q1","text":"a"}\n{"_id":\n'), {}, r"queries.jsonl:2: expected JSON, got Expecting value"),
    ("malformed JSON file", "rag_json", {"a.json": b'{"queries": {},\n "corpus": }'}, {"val_is_test": True}, r"a.json:2: expected JSON, got Expecting value"),
    ("array where an object belongs", "beir", beir("corpus.jsonl", b"[1]\n"), {}, r"corpus.jsonl:1: expected a JSON object, got list"),
    ("deeply nested JSON", "beir", beir("corpus.jsonl", b'{"_id":' + b"[" * 100_000 + b"\n"), {}, r"corpus.jsonl:1: expected JSON, got too deep a nesting"),
    ("array where a text belongs", "beir", beir("corpus.jsonl", b'{"_id":"d1","text":["one"]}\n'), {}, r"corpus.jsonl:1: text: expected text, got \['one'\]"),
    ("number where a title belongs", "beir", beir("corpus.jsonl", b'{"_id":"d1","title":5,"text":"one"}\n'), {}, r"corpus.jsonl:1: title: expected text or null, got 5"),
    ("key given twice", "rag_json", {"a.json": b'{"queries": {"q": "a", "q": "b"}, "corpus": {}, "relevant_docs": {}}'}, {"val_is_test": True}, r"a.json:1: expected each key once .*'q' twice"),
    ("key given twice on a line", "flagembedding", {"a.jsonl": b'\n{"query": "a", "pos": ["x"], "pos": ["y"]}\n'}, {}, r"a.jsonl:2: expected each key once .*'pos' twice"),
    ("key given twice far down", "rag_json", {"a.json": b'{"queries": {"q": "a"},\n"corpus": {"q": "}"},\n"queries": {}}'}, {"val_is_test": True}, r"a.json:3: expected each key once .*'queries' twice"),
    ("integer of 5,000 digits", "beir", beir("corpus.jsonl", b'{"_id":"d1","text":"one","n":' + b"1" * 5000 + b"}\n"), {}, r"corpus.jsonl:1: expected JSON, got a number of too many digits"),
    ("integer of 5,000 digits in an array", "infgrad", {"a.json": b"[1,\n" + b"1" * 5000 + b"]"}, {}, r"a.json:2: expected JSON, got a number of too many digits"),
    ("deeply nested file", "rag_json", {"a.json": b"\n" + b"[" * 100_000}, {"val_is_test": True}, r"a.json:2: expected JSON, got too deep a nesting"),
    ("deeply nested array", "infgrad", {"a.json": b"[" * 100_000}, {}, r"a.json:1: expected JSON, got too deep a nesting"),
    ("invalid UTF-8 in lines of a zip", "infgrad", {"a.zip": zipped(**{"a.json": b'\n{"Query": "\xff"}'})}, {}, r"a.zip:2: expected UTF-8"),
    ("column of Parquet named twice", "table", {"a.parquet": arrow(["q", "q", "p"], *TEXTS)}, TABLE, r"a.parquet: expected each column once, got q, q, p"),
    ("invalid UTF-8 in Parquet", "table", {"a.parquet": arrow(["q", "p"], NO_UTF8, TEXTS[0])}, TABLE, r"a.parquet: rows 1 to 10000: expected a Parquet file, got: .*utf-8"),
    ("time out of range in Parquet", "table", {"a.parquet": arrow(["q", "p", "t"], *TEXTS[:2], pa.array([10**18], pa.timestamp("us")))}, TABLE, r"a.parquet: rows 1 to 10000: expected"),
    ("list where metadata belong", "beir", beir("queries.jsonl", b'{"_id":"q1","text":"a","metadata":["x"]}\n'), {}, r"queries.jsonl:1: metadata: expected an object or null, got \['x'\]"),
    ("zero where metadata belong", "beir", beir("queries.jsonl", b'{"_id":"q1","text":"a","metadata":0}\n'), {}, r"queries.jsonl:1: metadata: expected an object or null, got 0"),
    ("zero where a title belongs", "beir", beir("corpus.jsonl", b'{"_id":"d1","title":0,"text":"one"}\n'), {}, r"corpus.jsonl:1: title: expected text or null, got 0"),
    ("number before a text", "flagembedding", {"corpus.jsonl": lines({"title": 5, "text": "y"}), "a.jsonl": lines({"query": "a", "pos": ["x"]})}, {}, r"corpus.jsonl:1: title: expected text or null, got 5"),
    ("zero where passages belong", "mldr", {"train.jsonl": lines({"query_id": "q", "query": "a", "positive_passages": [], "negative_passages": 0})}, {"negatives": True}, r"train.jsonl:1: negative_passages: expected a list"),
    ("truth value for a score", "table", {"a.jsonl": lines({"q": "a", "p": "x", "s": True})}, TABLE | {"score": "s"}, r"a.jsonl:1: s: expected a number, got True"),
    ("text for a flag", "squad", {"a.json": json.dumps({"data": [{"title": "t", "paragraphs": [{"context": "x", "qas": [{"id": "q", "question": "a", "is_impossible": "no", "answers": []}]}]}]}).encode()}, {}, r"qas.0: is_impossible: expected true or false, got 'no'"),
    ("list for a split", "table", {"a.jsonl": lines({"q": "a", "p": "x", "s": ["train"]})}, TABLE | {"split": "s"}, r"a.jsonl:1: s: expected one of train, .*got \['train'\]"),
    ("list for a query's id", "trec", TREC | {"q.jsonl": lines({"id": ["q1"], "text": "y"})}, TREC_FILES, r"q.jsonl:1: id: expected an id as text or a whole number, got \['q1'\]"),
    ("truth value for a query's id", "trec", TREC | {"q.jsonl": lines({"id": True, "text": "y"})}, TREC_FILES, r"q.jsonl:1: id: expected an id as text or a whole number, got True"),
    ("list for a corpus' description", "nemotron", NEMOTRON | {"c/merlin_metadata.json": b"[]"}, {"file": "train.json"}, r"merlin_metadata.json: expected a JSON object, got list"),
    ("number for a corpus' instruction", "nemotron", NEMOTRON | {"c/merlin_metadata.json": b'{"corpus_id": "c", "query_instruction": 5}'}, {"file": "train.json"}, r"merlin_metadata.json: query_instruction: expected text or null, got 5"),
    ("number for an instruction", "mteb", {"corpus.jsonl": BEIR["corpus.jsonl"], "queries.jsonl": BEIR["queries.jsonl"], "qrels/train.jsonl": lines({"query-id": "q1", "corpus-id": "d1", "score": 1}), "instruction.jsonl": lines({"query-id": "q1", "instruction": 5})}, {"subset": None, "nano_beir": False}, r"instruction.jsonl:1: instruction: expected text or null, got 5"),
    ("question without a number", "eedi", {"misconception_mapping.csv": EEDI_NAMES, "train.csv": EEDI_HEADER + b"abc,n,A,t,1,2,3,4,,1,1,1\n"}, {"prompt": None, "example": None, "rule": "validation_v2"}, r"train.csv:2: QuestionId: expected a whole number that no other row has, got 'abc'"),
    ("question given twice", "eedi", {"misconception_mapping.csv": EEDI_NAMES, "train.csv": EEDI_HEADER + b"7,n,A,t,1,2,3,4,,1,1,1\n" * 10}, {"prompt": None, "example": None, "rule": "cross_validation"}, r"train.csv:3: QuestionId: .* no other row has, got '7'"),
    ("line end in an id", "rag_json", {"a.json": b'{"queries": {"q\\nx": ""}, "corpus": {"d": "x"}, "relevant_docs": {}}'}, {"val_is_test": True}, r"queries.'q\\nx': query_id|queries.'q\\nx': text"),
    ("line end in a column's name", "table", {"a.csv": b'"q\nz",k\nx,y\n'}, TABLE, r"expected q, p, got the columns 'q\\nz', k"),
    # ids and texts
    ("truth value for an id", "beir", beir("corpus.jsonl", b'{"_id":true,"text":"one"}\n'), {}, r"corpus.jsonl:1: doc_id: expected text or a whole number, got True"),
    ("float id", "beir", beir("queries.jsonl", b'{"_id":1.0,"text":"a"}\n'), {}, r"queries.jsonl:1: _id: expected an id as text or a whole number, got 1.0"),
    ("NaN id", "beir", beir("corpus.jsonl", b'{"_id":NaN,"text":"one"}\n'), {}, r"corpus.jsonl:1: doc_id: expected text or a whole number, got nan"),
    ("float id in Parquet", "table", {"a.parquet": parquet(q=["a"], p=["x"], qi=[1.0], pi=["d"])}, IDS, r"a.parquet:1: query_id: expected text or a whole number, got 1.0"),
    ("missing id", "beir", beir("corpus.jsonl", b'{"text":"one"}\n'), {}, r"corpus.jsonl:1: doc_id: expected text or a whole number, got None"),
    ("id with a tab", "beir", beir("corpus.jsonl", b'{"_id":"d\\t1","text":"one"}\n'), {}, r"corpus.jsonl:1: doc_id: expected an id without tabs and line ends"),
    ("empty text", "beir", beir("corpus.jsonl", b'{"_id":"d1","text":" "}\n'), {}, r"corpus.jsonl:1: text: expected non-empty text, got ' '; 1 of 1 documents have no text, and max_unusable allows 50.00%: fix"),
    ("more empty texts than max_unusable", "beir", beir("corpus.jsonl", BEIR["corpus.jsonl"] + b'{"_id":"d3","text":null}\n'), {"max_unusable": 0.3}, r"corpus.jsonl:3: text: expected text, got None; 1 of 3 documents have no text, and max_unusable allows 30.00%"),
    ("query without text", "beir", beir("queries.jsonl", BEIR["queries.jsonl"] + b'{"_id":"q1","text":""}\n'), {"max_unusable": 0.3}, r"queries.jsonl:3: text: expected non-empty text, got ''; 1 of 3 queries have no text, and max_unusable allows 30.00%"),
    ("query id with two texts", "beir", beir("queries.jsonl", BEIR["queries.jsonl"] + b'{"_id":"q1","text":"b"}\n'), {}, r"queries.jsonl:3: query_id: expected each id once, got 'q1' again, first at .*queries.jsonl:1"),
    ("lone surrogate", "beir", beir("corpus.jsonl", b'{"_id":"d1","text":"\\ud800"}\n'), {}, r"corpus.jsonl:1: text: expected text without lone surrogates"),
    ("document id with two texts", "beir", beir("corpus.jsonl", b'{"_id":"d1","text":"one"}\n{"_id":"d1","text":"two"}\n'), {}, r"corpus.jsonl:2: doc_id 'd1': expected one text, got another"),
    ("query id given twice", "beir", beir("queries.jsonl", b'{"_id":"q1","text":"a"}\n{"_id":"q1","text":"b"}\n'), {}, r"queries.jsonl:2: query_id: expected each id once, got 'q1' again, first at .*queries.jsonl:1"),
    # judgments and scores
    ("unaligned scores", "flagembedding", {"a.jsonl": lines({"query": "a", "pos": ["x"], "neg": ["y"], "pos_scores": [1.0, 2.0], "neg_scores": [0.1]})}, {}, r"a.jsonl:1: pos: expected a score for each of 1 texts, got 2"),
    ("relevance that is no number", "beir", beir("qrels/train.tsv", b"q1\td1\t1\nq2\td2\tyes\n"), {}, r"train.tsv:2: expected a whole number as relevance, got 'yes'"),
    ("relevance with a fraction on the first line", "beir", beir("qrels/train.tsv", b"q1\td1\t0.5\nq2\td2\t1\n"), {}, r"train.tsv:1: expected a whole number as relevance, got '0.5'"),
    ("relevance with a fraction", "beir", beir("qrels/train.tsv", b"q1\td1\t1\nq2\td2\t0.5\n"), {}, r"train.tsv:2: expected a whole number as relevance, got '0.5'"),
    ("judgments with a field too many", "beir", beir("qrels/train.tsv", b"q1\td1\t1\nq2\td2\t1\textra\n"), {}, r"train.tsv:2: expected 3 fields, got 4"),
    ("judgments of unknown ids", "beir", beir("qrels/train.tsv", b"q1\td1\t1\nq1\td9\t1\n"), {"max_unusable": 0.4}, r"judgment of an unknown query or document: expected at most 40.00% .* got 1 of 2, first query_id 'q1' doc_id 'd9'"),
    ("query without positives", "beir", beir("qrels/train.tsv", b"q1\td1\t1\nq2\td2\t0\n"), {"max_unusable": 0.0}, r"query without a relevant document: expected at most 0.00% .*got 1 of 2, first query_id 'q2'"),
    ("no judgments at all", "beir", {name: BEIR[name] for name in ("corpus.jsonl", "queries.jsonl")}, {}, r"qrels: expected train.tsv, dev.tsv or test.tsv, found none"),
    # headers and fields
    ("header missing", "t2_ranking", {"collection.tsv": b"1\tone\n", "queries.train.tsv": b"qid\tquery\n1\ta\n", "qrels.retrieval.train.tsv": b"qid\tpid\n1\t1\n"}, {"graded": False}, r"collection.tsv:1: expected a header such as doc_id<tab>text, got"),
    ("header a second time in TSV", "t2_ranking", {"collection.tsv": b"pid\tpassage\n1\tone\n", "queries.train.tsv": b"qid\tquery\n1\ta\nqid\tquery\n", "qrels.retrieval.train.tsv": b"qid\tpid\n1\t1\n"}, {"graded": False}, r"queries.train.tsv:3: expected a record, got the header a second time"),
    ("header a second time in CSV", "table", {"a.csv": b"q,p\nx,y\nq,p\n"}, TABLE, r"a.csv:3: expected a record, got the header a second time"),
    ("column named twice", "table", {"a.csv": b"q,p,p\nx,y,z\n"}, TABLE, r"a.csv:1: expected each column once"),
    ("column missing", "table", {"a.csv": b"query,p\nx,y\n"}, TABLE, r"a.csv.*: expected q,? .*got the columns query, p"),
    ("field with a tab", "table", {"a.tsv": b"q\tp\nx\ty\tz\n"}, TABLE, r"a.tsv:2: expected 2 fields, got 3"),
    ("quote never closed", "table", {"a.csv": b'q,p\nx,y\n"z,w\n'}, TABLE, r"a.csv:3: expected CSV, got: unexpected end of data"),
    ("field too few in a question", "eedi", {"misconception_mapping.csv": EEDI_NAMES, "train.csv": b"QuestionId,ConstructName\n1\n"}, {"prompt": None, "example": None, "rule": "files"}, r"train.csv:2: expected 2 fields, got 1"),
    ("suffix of no known kind", "table", {"a.xlsx": b"PK"}, TABLE, r"a\.xlsx|expected"),
    # splits and use
    ("split asked for that the source lacks", "beir", BEIR, {"dev": "given"}, r"dev: expected the share .*, as the source has no dev split"),
    ("training with an evaluation-only set", "beir", BEIR, {"use": "evaluation_only"}, r"use: evaluation_only: expected no train queries, got 2"),
    ("no documents", "rag_json", {"a.json": b'{"queries": {}, "corpus": {}, "relevant_docs": {}}'}, {"val_is_test": True}, r"raw: expected documents, got none"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("format_name", "files", "values", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_bad_input_is_refused_and_nothing_is_written(
    format_name: str, files: dict[str, bytes], values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    if format_name == "beir" and files.get("corpus.jsonl/x"):
        files = {name: content for name, content in files.items() if name != "corpus.jsonl"}
    with pytest.raises(InputError, match=message) as raised:
        convert_raw(write(tmp_path / "raw", files), tmp_path / "out", format_name, **values)
    assert "\n" not in str(raised.value)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(reading, "open_bytes", refuse)  # root, who runs many a container, may read anything
    with pytest.raises(InputError, match=r"corpus.jsonl: expected a readable file, got: Permission denied"):
        convert_raw(write(tmp_path / "raw", BEIR), tmp_path / "out", "beir")


def test_raw_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone: expected a file or folder, found nothing; put the data there"):
        convert_raw(tmp_path / "gone", tmp_path / "out", "beir")


READ = [
    ("byte order mark", beir("corpus.jsonl", b"\xef\xbb\xbf" + BEIR["corpus.jsonl"])),
    ("carriage returns", {name: content.replace(b"\n", b"\r\n") for name, content in BEIR.items()}),
    ("carriage returns alone", {name: content.replace(b"\n", b"\r") for name, content in BEIR.items()}),
    ("everything compressed", {f"{name}.gz": gzip.compress(content) for name, content in BEIR.items()}),
    ("compressed, with carriage returns alone", {f"{name}.gz": gzip.compress(content.replace(b"\n", b"\r")) for name, content in BEIR.items()}),
    ("query given twice alike", beir("queries.jsonl", BEIR["queries.jsonl"] * 2)),
    ("whole numbers as ids", {"corpus.jsonl": b'{"_id":1,"text":"one"}\n{"_id":2,"text":"two"}\n', "queries.jsonl": b'{"_id":7,"text":"first"}\n{"_id":8,"text":"second"}\n', "qrels/train.tsv": b"7\t1\t1\n8\t2\t1\n"}),
    ("no final newline", {name: content.rstrip(b"\n") for name, content in BEIR.items()}),
    ("blank lines", {name: content.replace(b"\n", b"\n\n") for name, content in BEIR.items()}),
    ("lines of white space", {name: content.replace(b"\n", b"\n \n") for name, content in BEIR.items()}),
    ("tab alone between objects", beir("corpus.jsonl", BEIR["corpus.jsonl"].replace(b"\n", b"\n\t\n"))),
    ("other header of two columns", beir("qrels/train.tsv", b"Query_ID\tDocID\nq1\td1\nq2\td2\n")),
    ("no header", beir("qrels/train.tsv", b"q1\td1\t1\nq2\td2\t1\n")),
    ("two columns", beir("qrels/train.tsv", b"q1\td1\nq2\td2\n")),
    ("TREC's four columns", beir("qrels/train.tsv", b"q1 0 d1 1\nq2 0 d2 1\n")),
    ("grades written as decimals", beir("qrels/train.tsv", b"q1\td1\t1.0\nq2\td2\t1.0\n")),
    ("document given twice alike", beir("corpus.jsonl", BEIR["corpus.jsonl"] * 2)),
    ("line separators inside texts", beir("queries.jsonl", '{"_id":"q1","text":"first"}\n{"_id":"q2","text":"second"}\n{"_id":"q3","text":"a\u2028b\x85c"}\n'.encode())),
]  # fmt: skip


@pytest.mark.parametrize("files", [case[1] for case in READ], ids=[case[0] for case in READ])
def test_harmless_quirks_are_read(files: dict[str, bytes], tmp_path: Path) -> None:
    result = convert_raw(write(tmp_path / "raw", files), tmp_path / "out", "beir")
    assert result.judged() == {("first", "one", 1), ("second", "two", 1)}
    assert "judgment of an unknown query or document" not in result.statistics["dropped"]


EMPTY = ["", " ", "\u3000\n", None]
"""Texts of which a document has none."""
RAG = {"queries": {"q1": "first"}, "corpus": {"d1": "one", "d2": "two"}, "relevant_docs": {"q1": ["d1"]}}
SQUAD_QUESTION = {"id": "q1", "question": "first", "answers": []}


def dumped(content: object) -> bytes:
    return json.dumps(content).encode()


def squad(text: object) -> bytes:
    paragraphs = [{"context": "one", "qas": [SQUAD_QUESTION]}, {"context": text, "qas": []}]
    return dumped({"data": [{"title": "t", "paragraphs": paragraphs}]})


def flag(text: object) -> bytes:
    return lines({"query": "first", "pos": ["one"], "neg": [text]}, {"query": "first", "pos": ["one"]})


WITHOUT_TEXT: dict[str, tuple[str, Callable[[object], dict[str, bytes]], dict[str, Any]]] = {
    "air_bench": ("air_bench", lambda text: {"corpus.jsonl": lines({"id": "d1", "text": "one"}, {"id": "x", "text": text}), "dev_queries.jsonl": lines({"id": "q1", "text": "first"}), "dev_qrels.jsonl": lines({"qid": "q1", "docid": "d1", "relevance": 1})}, {"use": "evaluation_only", "assign_all_to": "dev", "dev": "given"}),
    "beir": ("beir", lambda text: beir("corpus.jsonl", BEIR["corpus.jsonl"] + lines({"_id": "x", "title": "", "text": text})), {}),
    "beir without a title's letters": ("beir", lambda text: beir("corpus.jsonl", BEIR["corpus.jsonl"] + lines({"_id": "x", "title": " ", "text": text})), {}),
    "documents": ("documents", lambda text: {"a.jsonl": lines({"id": "d1", "text": "one"}, {"id": "x", "text": text})}, {"chunk_words": 9, "overlap_words": 0, "min_words": 1}),
    "flagembedding": ("flagembedding", lambda text: {"a.jsonl": flag(text)}, {}),
    "flagembedding's corpus": ("flagembedding", lambda text: {"a.jsonl": lines({"query": "first", "pos": ["one"]}), "corpus.jsonl": lines({"id": "x", "text": text})}, {}),
    "flagembedding's evaluation": ("flagembedding", lambda text: {"corpus.jsonl": lines({"id": "d1", "text": "one"}, {"id": "x", "text": text}), "train_queries.jsonl": lines({"id": "q1", "text": "first"}), "train_qrels.jsonl": lines({"qid": "q1", "docid": "d1", "relevance": 1})}, {}),
    "infgrad": ("infgrad", lambda text: {"a.jsonl": lines({"Query": "first", "Positive Document": "one", "Hard Negative Document": text})}, {}),
    "intel": ("intel", lambda text: {"candidate_context.jsonl": lines({"context": ["one"]}, {"context": [text]}), "e.jsonl": lines({"query": "first", "pos": ["one"]})}, {"file": "e.jsonl"}),
    "llama_index": ("llama_index", lambda text: {"a.json": dumped(RAG | {"corpus": {"d1": "one", "x": text}})}, {}),
    "mldr": ("mldr", lambda text: {"corpus.jsonl": lines({"docid": "x", "text": text}), "train.jsonl": MLDR_QUERY.replace(b'"x"', b'"one"')}, {"negatives": True}),
    "mteb": ("mteb", lambda text: {"corpus.jsonl": BEIR["corpus.jsonl"] + lines({"_id": "x", "text": text}), "queries.jsonl": BEIR["queries.jsonl"], "qrels/train.jsonl": lines({"query-id": "q1", "corpus-id": "d1", "score": 1})}, {"nano_beir": False}),
    "nemotron": ("nemotron", lambda text: {"train.jsonl": lines({"question": "first", "pos_doc": ["one"], "neg_doc": [{"text": text}]})}, {"file": "train.jsonl"}),
    "nemotron's corpus": ("nemotron", lambda text: {"train.json": dumped({"corpus": "./c", "data": [{"question_id": "q1", "question": "first", "corpus_id": "c", "pos_doc": ["d1"], "neg_doc": []}]}), "c/t.jsonl": lines({"id": "d1", "text": "one"}, {"id": "x", "text": text}), "c/merlin_metadata.json": b'{"corpus_id": "c"}'}, {"file": "train.json"}),
    "open_retrievals": ("open_retrievals", lambda text: {"a.jsonl": lines({"query": "first", "positive": ["one"], "negative": [{"title": "", "text": text}]})}, {"query_key": "query", "positive_key": "positive", "negative_key": "negative"}),
    "rag_json": ("rag_json", lambda text: {"a.json": dumped(RAG | {"corpus": {"d1": "one", "x": text}})}, {"val_is_test": True}),
    "sentence_transformers": ("sentence_transformers", lambda text: {"a.jsonl": lines({"anchor": "first", "positive": "one"}, {"anchor": "second", "positive": text})}, {}),
    "squad": ("squad", lambda text: {"a.json": squad(text)}, {}),
    "t2_ranking": ("t2_ranking", lambda text: {"collection.tsv": b"pid\tpassage\nd1\tone\nx\t" + str(text or "").replace("\n", "").encode() + b"\n", "queries.train.tsv": b"qid\tquery\n1\tfirst\n", "qrels.retrieval.train.tsv": b"qid\tpid\n1\td1\n"}, {"graded": False}),
    "t2_reranking": ("t2_reranking", lambda text: {"a.jsonl": lines({"query": "first", "positive": ["one"], "negative": [text]})}, {"dev": "given"}),
    "table": ("table", lambda text: {"a.jsonl": lines({"q": "first", "p": "one"}, {"q": "second", "p": [text]})}, TABLE),
    "trec": ("trec", lambda text: {"c.jsonl": lines({"id": "d1", "text": "one"}, {"id": "x", "text": text}), "q.jsonl": lines({"id": "q1", "text": "first"}), "r.txt": b"q1 d1\n"}, TREC_FILES),
    "trec in TSV": ("trec", lambda text: {"c.tsv": b"d1\tone\nx\t" + str(text or "").replace("\n", "").encode() + b"\n", "q.jsonl": lines({"id": "q1", "text": "first"}), "r.txt": b"q1 d1\n"}, TREC_FILES | {"documents": ["c.tsv"]}),
}  # fmt: skip


@pytest.mark.parametrize("text", EMPTY, ids=["empty", "space", "ideographic space", "null"])
@pytest.mark.parametrize("case", WITHOUT_TEXT)
def test_document_without_text_is_left_out_and_counted_in_every_format(case: str, text: object, tmp_path: Path) -> None:
    format_name, files, values = WITHOUT_TEXT[case]
    raw = write(tmp_path / "raw", files(text))
    result = convert_raw(raw, tmp_path / "out", format_name, **{"max_unusable": 0.5} | values)
    assert result.statistics["dropped"]["document without text"] == 1
    assert "one" in result.corpus["text"].tolist()
    assert all(found.strip() and found != "None" for found in result.corpus["text"])
    with pytest.raises(InputError, match="1 of . documents have no text, and max_unusable allows 1.00%"):
        convert_raw(raw, tmp_path / "strict", format_name, **values | {"max_unusable": 0.01})


TITLED: dict[str, tuple[str, Callable[[object], dict[str, bytes]], dict[str, Any]]] = {
    name: (format_name, lambda text, files=files: {key: content.replace(b'"text": ', b'"title": "T", "text": ') for key, content in files(text).items()}, values)
    for name, (format_name, files, values) in WITHOUT_TEXT.items()
    if name in ("air_bench", "documents", "flagembedding's corpus", "flagembedding's evaluation", "mldr", "mteb", "nemotron's corpus", "trec")
} | {
    "beir": ("beir", lambda text: beir("corpus.jsonl", BEIR["corpus.jsonl"] + lines({"_id": "x", "title": "T", "text": text})), {}),
    "open_retrievals": ("open_retrievals", lambda text: {"a.jsonl": lines({"query": "first", "positive": ["one"], "negative": [{"title": "T", "text": text}]})}, WITHOUT_TEXT["open_retrievals"][2]),
    "trec in TSV": ("trec", lambda text: {"c.tsv": b"d1\t\tone\nx\tT\t" + str(text or "").replace("\n", "").encode() + b"\n", "q.jsonl": lines({"id": "q1", "text": "first"}), "r.txt": b"q1 d1\n"}, TREC_FILES | {"documents": ["c.tsv"]}),
}  # fmt: skip


@pytest.mark.parametrize("text", EMPTY, ids=["empty", "space", "ideographic space", "null"])
@pytest.mark.parametrize("case", TITLED)
def test_title_is_the_text_of_a_document_without_one_in_every_format(case: str, text: object, tmp_path: Path) -> None:
    format_name, files, values = TITLED[case]
    raw = write(tmp_path / "raw", files(text))
    result = convert_raw(raw, tmp_path / "out", format_name, **values | {"max_unusable": 0.0})
    assert "T" in result.corpus["text"].tolist()
    assert result.corpus["title"][result.corpus["text"] == "T"].isna().all()
    assert "document without text" not in result.statistics["dropped"]


PACKED = (".jsonl", ".tsv", ".txt")


@pytest.mark.parametrize("change", ["gz", "carriage returns alone"])
@pytest.mark.parametrize("case", WITHOUT_TEXT)
def test_files_may_be_compressed_and_end_lines_with_carriage_returns(case: str, change: str, tmp_path: Path) -> None:
    format_name, make, values = WITHOUT_TEXT[case]
    files = make("three")
    expected = convert_raw(write(tmp_path / "raw", files), tmp_path / "out", format_name, **values)
    if change == "gz":
        changed = {f"{name}.gz": gzip.compress(content) for name, content in files.items() if name.endswith(PACKED)}
        changed |= {name: content for name, content in files.items() if not name.endswith(PACKED)}
    else:
        changed = {name: content.replace(b"\n", b"\r") for name, content in files.items()}
    result = convert_raw(write(tmp_path / "changed", changed), tmp_path / "again", format_name, **values)
    assert sorted(result.corpus["text"]) == sorted(expected.corpus["text"])
    assert all(result.judged(split) == expected.judged(split) for split in ("train", "dev", "test"))
