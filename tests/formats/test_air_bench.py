"""One data set of AIR-Bench: documents, dev queries and judgments of two grades."""

import json
from pathlib import Path
from typing import Any

import pytest

from retune.core.errors import InputError
from tests.support.conversion import convert_raw

CORPUS = [{"id": f"doc-{number}", "text": text} for number, text in enumerate(["liver", "heart", "lung"])]
QUERIES = [{"id": "q-1", "text": "What filters blood?"}, {"id": "q-2", "text": "What pumps blood?"}]
QRELS = [
    {"qid": "q-1", "docid": "doc-0", "relevance": 1},
    {"qid": "q-1", "docid": "doc-2", "relevance": 0},
    {"qid": "q-2", "docid": "doc-1", "relevance": 1},
]
VALUES: dict[str, Any] = {"use": "evaluation_only", "assign_all_to": "test", "test": "given"}


def write(folder: Path, **files: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_dev_queries_are_evaluated_on(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", corpus=CORPUS, dev_queries=QUERIES, dev_qrels=QRELS)
    data = convert_raw(raw, tmp_path / "out", "air_bench", **VALUES)
    assert data.queries("test") == {"q-1": "What filters blood?", "q-2": "What pumps blood?"}
    assert data.counts() == {"test": (2, 3)}
    assert data.statistics["provenance"]["use"] == "evaluation_only"


def test_relevance_of_zero_is_a_judged_negative(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", corpus=CORPUS, dev_queries=QUERIES, dev_qrels=QRELS)
    data = convert_raw(
        raw, tmp_path / "out", "air_bench", **VALUES | {"assign_all_to": None, "dev": "given", "test": 0.0}
    )
    assert ("What filters blood?", "lung", 0) in data.judged("dev")
    assert len(data.corpus) == 3


def test_test_queries_published_without_judgments_are_counted(tmp_path: Path) -> None:
    unjudged = [{"id": "t-1", "text": "What breathes?"}]
    raw = write(tmp_path / "raw", corpus=CORPUS, dev_queries=QUERIES, dev_qrels=QRELS, test_queries=unjudged)
    data = convert_raw(raw, tmp_path / "out", "air_bench", **VALUES)
    assert data.counts() == {"test": (2, 3)}
    assert data.statistics["dropped"]["query without judgments"] == 1


def test_test_queries_with_judgments_are_a_split(tmp_path: Path) -> None:
    test = {"test_queries": [{"id": "t-1", "text": "What breathes?"}]}
    test["test_qrels"] = [{"qid": "t-1", "docid": "doc-2", "relevance": 1}]
    raw = write(tmp_path / "raw", corpus=CORPUS, dev_queries=QUERIES, dev_qrels=QRELS, **test)
    data = convert_raw(raw, tmp_path / "out", "air_bench", use="training_against_licence", dev="given", test="given")
    assert data.counts() == {"dev": (2, 3), "test": (1, 1)}


def test_use_without_limits_is_refused(tmp_path: Path) -> None:
    expected = (
        r"params.yaml: convert.x.use: expected evaluation_only or training_against_licence, .* AIR-Bench is licensed"
    )
    with pytest.raises(InputError, match=expected):
        convert_raw(tmp_path, tmp_path / "out", "air_bench", use="any")


def test_missing_judgments_are_named(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", corpus=CORPUS, dev_queries=QUERIES)
    with pytest.raises(
        InputError, match="raw: expected dev_qrels.jsonl, found none; copy it from the qrels repository"
    ):
        convert_raw(raw, tmp_path / "out", "air_bench", **VALUES)


def test_missing_queries_are_named(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", corpus=CORPUS, dev_qrels=QRELS)
    with pytest.raises(InputError, match=r"dev_queries.jsonl: expected a file, found nothing"):
        convert_raw(raw, tmp_path / "out", "air_bench", **VALUES)


def test_judgment_without_relevance_is_refused(tmp_path: Path) -> None:
    qrels = [*QRELS, {"qid": "q-2", "docid": "doc-0"}]
    raw = write(tmp_path / "raw", corpus=CORPUS, dev_queries=QUERIES, dev_qrels=qrels)
    with pytest.raises(InputError, match=r"dev_qrels.jsonl:4: relevance: expected a whole number, got None"):
        convert_raw(raw, tmp_path / "out", "air_bench", **VALUES)
