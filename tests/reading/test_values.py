"""Whatever stands where a value belongs, a conversion gives a data set or says in one line what is wrong."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retune.core.errors import InputError
from tests.support.conversion import convert_raw

ODD: list[Any] = [
    *(None, 0, -1, 1.5, float("nan"), True, 10**30, "", " ", "x\ty", "\ud800"),
    *([], {}, ["x"], [None], [[]], [1], {"a": 1}, [{"text": None}]),
]
SAMPLE = 45  # of each source's nodes and odd values

COLUMNS = {"query": "q", "query_id": "i", "positive": "p", "positive_id": "d", "negatives": ["n"], "score": "s", "relevant_from": 0.5, "answer": "a", "prompt": "r", "group": "g", "split": "t"}  # fmt: skip
KEYS = {"query_key": "q", "positive_key": "p", "negative_key": "n", "document_key": None, "label_key": None, "relevant_from": None}  # fmt: skip
TREC = {"documents": ["c.jsonl"], "splits": {"train": {"queries": "q.jsonl", "qrels": "r.txt"}}, "runs": [], "run_depth": None}  # fmt: skip
DOCUMENT = {"id": "d", "title": "Tides", "text": "the moon"}
QUERY = {"id": "q", "text": "why tides"}
QUESTION = {"id": "q", "question": "why", "answers": [{"text": "moon"}], "is_impossible": False}
GIVEN_TEST = {"test": "given"}

SOURCES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "beir": ("beir", {"corpus.jsonl": DOCUMENT | {"_id": "d"}, "queries.jsonl": {"_id": "q", "text": "why", "metadata": {"prompt": "p", "answer": "a"}}, "qrels/train.tsv": "q\td\t1\n"}, {}),
    "air_bench": ("air_bench", {"corpus.jsonl": DOCUMENT, "dev_queries.jsonl": QUERY, "dev_qrels.jsonl": {"qid": "q", "docid": "d", "relevance": 1}}, {"use": "evaluation_only", "dev": "given"}),
    "mldr": ("mldr", {"train.jsonl": {"query_id": "q", "query": "why", "positive_passages": [{"docid": "d", "title": "t", "text": "x"}], "negative_passages": [{"docid": "e", "text": "y"}]}}, {"negatives": True}),
    "t2_reranking": ("t2_reranking", {"a.jsonl": {"query": "why", "positive": ["x"], "negative": ["y"]}}, {"dev": "given"}),
    "flagembedding rows": ("flagembedding", {"train.jsonl": {"query": "why", "pos": ["x"], "neg": ["y"], "pos_scores": [1], "neg_scores": [0], "prompt": "p", "query_id": "q", "pos_ids": ["d"], "neg_ids": ["e"], "answer": "a", "pos_relevance": [2]}, "corpus.jsonl": DOCUMENT}, {}),
    "flagembedding evaluation": ("flagembedding", {"corpus.jsonl": DOCUMENT, "dev_queries.jsonl": QUERY, "dev_qrels.jsonl": {"qid": "q", "docid": "d", "relevance": 1}}, {"dev": "given"}),
    "open_retrievals": ("open_retrievals", {"a.jsonl": {"q": "why", "p": [{"title": "t", "text": "x"}], "n": ["y"]}}, KEYS),
    "intel": ("intel", {"e.jsonl": {"query": "why", "pos": ["x"], "neg": ["y"]}, "candidate_context.jsonl": {"context": ["x"]}}, {"file": "e.jsonl"}),
    "mteb": ("mteb", {"corpus.jsonl": DOCUMENT, "queries.jsonl": QUERY | {"answer": "a"}, "qrels/test.jsonl": {"query-id": "q", "corpus-id": "d", "score": 1.0}, "instruction.jsonl": {"query-id": "q", "instruction": "p"}}, {"subset": None, "nano_beir": False} | GIVEN_TEST),
    "sentence_transformers tuples": ("sentence_transformers", {"a.jsonl": {"a": "why", "p": "x", "n": "y", "score": [1, 0]}}, {"relevant_from": None}),
    "sentence_transformers lists": ("sentence_transformers", {"a.jsonl": {"a": "why", "p": ["x", "y"], "label": [1, 0]}}, {"relevant_from": 0.5}),
    "rag_json": ("rag_json", {"a.json": {"queries": {"q": "why"}, "corpus": {"d": "x"}, "relevant_docs": {"q": ["d"]}, "negative_docs": {"q": ["d"]}, "reference_answers": {"q": "a"}, "queries_split": {"train": ["q"]}}}, {"val_is_test": True}),
    "llama_index": ("llama_index", {"a.json": {"queries": {"q": "why"}, "corpus": {"d": "x"}, "relevant_docs": {"q": ["d"]}, "mode": "text"}}, {}),
    "nemotron by id": ("nemotron", {"train.json": {"corpus": [{"path": "./c"}], "data": [{"question_id": "q", "question": "why", "corpus_id": "c", "pos_doc": [{"id": "d"}], "neg_doc": []}]}, "c/merlin_metadata.json": {"corpus_id": "c", "query_instruction": "p"}, "c/a.jsonl": DOCUMENT}, {"file": "train.json"}),
    "nemotron inline": ("nemotron", {"train.json": [{"question_id": "q", "question": "why", "pos_doc": [{"text": "x"}], "neg_doc": "y"}]}, {"file": "train.json"}),
    "squad": ("squad", {"a.json": {"data": [{"title": "t", "paragraphs": [{"context": "x", "qas": [QUESTION]}]}]}}, {}),
    "trec": ("trec", {"c.jsonl": DOCUMENT, "q.jsonl": QUERY, "r.txt": "q d 1\n"}, TREC),
    "table": ("table", {"a.jsonl": {"q": "why", "i": "q", "p": "x", "d": "d", "n": ["y"], "s": 1, "a": "a", "r": "p", "g": "g", "t": "train"}}, COLUMNS),
    "infgrad": ("infgrad", {"a.json": [{"Query": "why", "Positive Document": "x", "Hard Negative Document": "y"}]}, {}),
    "documents": ("documents", {"a.jsonl": DOCUMENT}, {"chunk_words": 5, "overlap_words": 0, "min_words": 1}),
    "t2_ranking": ("t2_ranking", {"collection.tsv": "pid\tpassage\n{}\t{}\n", "queries.train.tsv": "qid\tquery\n{}\t{}\n", "qrels.train.tsv": "{}\t0\td\t{}\n"}, {"graded": True}),
    "eedi": ("eedi", {"misconception_mapping.csv": "MisconceptionId,MisconceptionName\n{},{}\n", "train.csv": "QuestionId,ConstructName,CorrectAnswer,QuestionText,AnswerAText,AnswerBText,AnswerCText,AnswerDText,MisconceptionAId,MisconceptionBId,MisconceptionCId,MisconceptionDId\n{},n,{},t,1,2,3,4,,{},1,1\n"}, {"prompt": None, "example": None, "rule": "cross_validation"}),
}  # fmt: skip


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to every value in a JSON value, or to every cell of a text."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from nodes(item, (*path, key))
    if isinstance(value, str) and not path:
        yield from ((number,) for number in range(value.count("{}")))


def written(content: Any, path: tuple[Any, ...] | None = None, odd: Any = None) -> str:
    """Return a file's text, the value at a path replaced."""
    if isinstance(content, str):
        cells = ["1"] * content.count("{}")
        for place in path or ():
            cells[place] = str(odd).replace("\ud800", "\x00")
        return content.format(*cells)
    if path == ():
        return json.dumps(odd) + "\n"
    content = copy.deepcopy(content)
    owner = content
    for key in path[:-1] if path else ():
        owner = owner[key]
    if path:
        owner[path[-1]] = odd
    return json.dumps(content) + "\n"


def write(raw: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("source", SOURCES)
def test_odd_value_gives_a_data_set_or_one_line(source: str, tmp_path: Path) -> None:
    format_name, files, values = SOURCES[source]
    cases = [(name, path, odd) for name in files for path in nodes(files[name]) for odd in ODD]
    for number, (name, path, odd) in enumerate(random.Random(0).sample(cases, min(SAMPLE, len(cases)))):
        raw, out = tmp_path / f"raw{number}", tmp_path / f"out{number}"
        write(raw, {each: written(files[each]) for each in files} | {name: written(files[name], path, odd)})
        message = ""
        try:
            convert_raw(raw, out, format_name, **values)
        except InputError as error:
            message = str(error)
        assert "\n" not in message, (name, path, odd)
        assert (out / "corpus.parquet").is_file() != bool(message), (name, path, odd)
