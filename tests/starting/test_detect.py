"""Each kind of data is taken for its format, with the reason; what fits none or several is one line."""

import gzip
import json
from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.starting.detect import detect
from retune.starting.found import Found
from retune.starting.source import find
from tests.support.user_data import BEIR, ID_MAPS, MS_MARCO, PAIRS, PASSAGE, QUESTION, SQUAD, write


def found(path: Path) -> Found:
    return detect(find(str(path)))


FOLDERS = [
    (BEIR, "beir", {}, "it has corpus.jsonl, queries.jsonl, qrels/test.tsv and qrels/train.tsv"),
    ({"a.md": "# A\ntext", "sub/b.MD": "text", "c.txt": "text"}, "documents", {}, "it has 3 files of text (.md, .txt)"),
    ({"a.md": "text", "logo.png": "x"}, "documents", {}, "it has a.md and no queries (other files, which are left out: 1"),
    ({"a.md": "text", "tsconfig.json": "{ // comment", "broken.csv": 'a,"b', "x.csv": "one,two\n1,2\n"}, "documents", {}, "it has a.md"),
    ({"train_dataset.json": ID_MAPS, "val_dataset.json": ID_MAPS}, "llama_index", {}, "relevant_docs"),
    ({"data.json": ID_MAPS | {"queries_split": {}}}, "rag_json", {"val_is_test": False}, "queries_split"),
    ({"train-v1.1.json": SQUAD, "dev-v1.1.json": SQUAD}, "squad", {}, "paragraphs and questions"),
    ({"train.csv": f"question,answer\n{QUESTION},{PASSAGE}\n", "README.md": "x"}, "table",
     {"query": "question", "positive": "answer"}, "the columns question (the query) and answer (the document)"),
    ({"a.jsonl": [{"query": QUESTION, "pos": [PASSAGE], "neg": []}], "corpus.jsonl": [{"text": PASSAGE}]},
     "flagembedding", {}, "its rows have query, pos, neg in a.jsonl"),
    ({"corpus.jsonl": [{"id": "d", "text": PASSAGE}], "dev_queries.jsonl": [{"id": "q", "text": QUESTION}],
      "dev_qrels.jsonl": [{"qid": "q", "docid": "d", "relevance": 1}]}, "flagembedding", {}, "AIR-Bench"),
    ({"corpus/test-0.parquet": [{"_id": "d", "text": PASSAGE}], "queries/test-0.parquet": [{"_id": "q", "text": "a"}],
      "default/test-0.parquet": [{"query-id": "q", "corpus-id": "d", "score": 1}]}, "mteb", {"nano_beir": False}, "corpus"),
    ({"en-corpus/test-0.parquet": [{"_id": "d", "text": PASSAGE}], "en-queries/test-0.parquet": [{"_id": "q", "text": "a"}],
      "en-qrels/test-0.parquet": [{"query-id": "q", "corpus-id": "d", "score": 1}]}, "mteb",
     {"nano_beir": False, "subset": "en"}, "en-corpus, en-queries and en-qrels"),
    (MS_MARCO, "trec", {"documents": ["collection.tsv"],
                        "splits": {"train": {"queries": "queries.train.tsv", "qrels": "qrels.train.tsv"}}}, "collection"),
    (MS_MARCO | {"collection.tsv": f"pid\ttext\nd1\t{PASSAGE}\n"}, "t2_ranking", {"graded": True}, "collection.tsv"),
    ({"train.jsonl": [{"query_id": "1", "query": QUESTION, "positive_passages": []}]}, "mldr", {"negatives": True}, "its"),
    ({"train.json": {"corpus": "c", "data": [{"question_id": "1", "question": "a", "pos_doc": []}]}}, "nemotron",
     {"file": "train.json"}, "pos_doc"),
    ({"candidate_context.jsonl": [{"context": ["a"]}], "example.jsonl": [{"query": "a", "pos": ["b"]}]}, "intel",
     {"file": "example.jsonl"}, "candidate_context.jsonl and example.jsonl"),
    ({"misconception_mapping.csv": "MisconceptionId,MisconceptionName\n1,a\n", "train.csv": "QuestionId\n1\n",
      "test.csv": "QuestionId,MisconceptionAId\n1,2\n"}, "eedi", {"rule": "files"}, "misconception_mapping.csv"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "name", "params", "reason"), FOLDERS, ids=[f"{row[1]}-{n}" for n, row in enumerate(FOLDERS)]
)
def test_folder_is_taken_for_its_format(files: dict, name: str, params: dict, reason: str, tmp_path: Path) -> None:
    result = found(write(tmp_path / "handbook", files))
    assert (result.format, result.params) == (name, params)
    assert reason in result.reason


FILES = [
    ("faq.csv", f"question,context,answer\n{QUESTION},{PASSAGE},thirty\n", "table",
     {"query": "question", "positive": "context", "answer": "answer"}),
    ("faq.tsv", f"query\tdocument\tlabel\n{QUESTION}\t{PASSAGE}\t1\n{QUESTION}\tother\t0\n", "table",
     {"query": "query", "positive": "document", "score": "label", "relevant_from": 1}),
    ("faq.jsonl", [{"query": QUESTION, "passage": PASSAGE, "split": "train"}], "table",
     {"query": "query", "positive": "passage", "split": "split"}),
    ("faq.parquet", {"question": [QUESTION], "positive": [PASSAGE], "negative_1": ["no"]}, "table",
     {"query": "question", "positive": "positive", "negatives": ["negative_1"]}),
    ("fragen.csv", f"问题,相关文档\n{QUESTION},{PASSAGE}\n", "table", {"query": "问题", "positive": "相关文档"}),
    ("pairs.jsonl", [{"anchor": QUESTION, "positive": PASSAGE, "negative": "no"}], "sentence_transformers", {}),
    ("data.jsonl", [{"query": QUESTION, "pos": [PASSAGE], "neg": ["no"]}], "flagembedding", {}),
    ("squad.json", SQUAD, "squad", {}),
    ("finetune.json", ID_MAPS | {"mode": "text"}, "llama_index", {}),
    ("rows.json", {"1": {"question": QUESTION, "answer": PASSAGE}}, "table", {"query": "question", "positive": "answer"}),
    ("objects.jsonl", [{"query": QUESTION, "positive": [{"title": "t", "text": PASSAGE}]}], "open_retrievals",
     {"query_key": "query", "positive_key": "positive"}),
    ("llm.jsonl", [{"Query": "a", "Positive Document": "b", "Hard Negative Document": "c"}], "infgrad", {}),
    ("notes.md", "# Leave\nThirty days.", "documents", {}),
    ("texts.jsonl", [{"id": "1", "text": PASSAGE}], "documents", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "format_name", "params"), FILES, ids=[row[0] for row in FILES])
def test_file_is_taken_for_its_format(
    name: str, content: object, format_name: str, params: dict, tmp_path: Path
) -> None:
    result = found(write(tmp_path, {name: content}) / name)
    assert (result.format, result.params) == (format_name, params)


def test_packed_file_is_taken_for_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl.gz").write_bytes(gzip.compress(json.dumps({"query": "a", "pos": ["b"]}).encode()))
    assert found(tmp_path / "data.jsonl.gz").format == "flagembedding"


WRONG = [
    ({}, "expected files, found an empty folder; put your data there"),
    ({"empty.md": ""}, "expected data, found empty files only"),
    ({"a.pdf": "x", "b.pdf": "x"}, "found a.pdf, b.pdf; convert to Markdown first, for example with pymupdf4llm or docling"),
    ({"a.docx": "x"}, "convert to Markdown first"),
    ({"a.png": "x"}, "expected one of the formats on docs/convert.md, found a.png; write the entry by hand"),
    ({"pairs.csv": PAIRS, "guide.md": "text"}, "rows with queries (pairs.csv: format table) and texts (guide.md: format documents)"),
    ({"a.csv": PAIRS, "b.csv": PAIRS}, "or files named after a split (train, dev, test), found a.csv, b.csv; rename them"),
    ({"train.csv": PAIRS, "test.json": SQUAD}, "expected files of one format and the same columns, found test.json (squad), train.csv (table)"),
    ({"x.csv": "one,two\n1,2\n"}, "expected columns called query or question, positive, document, passage, context or answer, found x.csv with the columns one, two"),
    ({"x.csv": "query,passage,document\na,b,c\n"}, "expected one column of documents, found passage, document"),
    ({"x.csv": "query,document,score\na,b,0.7\n"}, "expected labels 0 and 1 in score, got '0.7'; write the entry by hand"),
    ({"queries.jsonl": [{"_id": "q", "text": "a"}], "corpus.jsonl": [{"_id": "d", "text": "b"}]}, "expected documents, queries and judgments"),
    ({"qrels/test.tsv": "q\td\t1\n"}, "expected documents, queries and judgments, as in formats beir, mteb and trec, found qrels/test.tsv"),
    (MS_MARCO | {"queries.train.long.tsv": "q1\tb\n"}, "expected one file of queries and one of qrels for each split of format trec"),
    ({"en-corpus.jsonl": [{}], "de-corpus.jsonl": [{}]}, "expected one subset, found de, en, whose format is mteb"),
    ({"rows.json": [{"query": "a", "answer": "b"}] * 2}, "expected one JSON value, found JSON lines; rename the file to .jsonl"),
    ({"train.jsonl": [{"query": "a", "pos": ["b"]}], "hn_test.jsonl": [{"query": "a", "pos": ["b"]}]}, "or files named after a split"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "line"), WRONG, ids=[row[1][:50] for row in WRONG])
def test_what_fits_no_format_or_several_is_one_line(files: dict, line: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError) as caught:
        found(write(tmp_path / "data", files))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
