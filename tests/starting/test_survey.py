"""What is counted in data before it is converted."""

from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.starting import survey as module
from retune.starting.source import find
from retune.starting.survey import Survey, survey
from tests.support.parameters import CONVERT
from tests.support.user_data import write

CORPUS = [{"_id": "d1", "text": "four"}, {"_id": "d2", "text": "sixsix"}, {"_id": "d3", "text": " "}]
QUERIES = [{"_id": "q1", "text": "one"}, {"_id": "q2", "text": "three"}]
QRELS = "query-id\tcorpus-id\tscore\n"
BEIR = {
    "corpus.jsonl": CORPUS,
    "queries.jsonl": QUERIES,
    "qrels/train.tsv": f"{QRELS}q1\td1\t1\n",
    "qrels/test.tsv": f"{QRELS}q2\td2\t0\n",
}


def surveyed(path: Path) -> Survey:
    return survey(find(str(path)), {"format": "beir"} | CONVERT, {}, "convert.x")


def test_documents_and_answered_queries_are_counted(tmp_path: Path) -> None:
    result = surveyed(write(tmp_path, BEIR))
    assert (result.documents, result.characters) == (2, 5.0)
    assert (result.queries, result.query_characters) == ({"train": 1}, 3.0)
    assert result.unusable == 0.5  # one of two queries has no relevant document
    assert result.is_whole


def test_reading_stops_in_time_and_files_name_the_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", -1.0)
    monkeypatch.setattr(module, "CHECKED_EVERY", 1)
    result = surveyed(write(tmp_path, BEIR))
    assert (result.documents, result.is_whole, result.unusable) == (1, False, 0.0)
    assert result.describe() == "more than 1 documents, queries for train, test"


def test_data_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected documents with text, found none"):
        surveyed(write(tmp_path, {"corpus.jsonl": CORPUS[2:]}))
