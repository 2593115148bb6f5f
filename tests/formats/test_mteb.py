"""A retrieval task in the layout MTEB keeps on the Hub."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retune.core.errors import InputError
from tests.support.conversion import convert_raw

Rows = list[dict[str, Any]]
CORPUS: Rows = [
    {"_id": "d1", "title": "Tides", "text": "The moon pulls the sea."},
    {"_id": "d2", "title": "", "text": "The sun warms the sea."},
]
QUERIES: Rows = [
    {"_id": "q1", "text": "why tides"},
    {"_id": "q2", "text": "why warm"},
    {"_id": "q3", "text": "unasked"},
]
QRELS: Rows = [
    {"query-id": "q1", "corpus-id": "d1", "score": 2},
    {"query-id": "q1", "corpus-id": "d2", "score": 0},
    {"query-id": "q2", "corpus-id": "d2", "score": 1},
]
PLAIN: dict[str, Any] = {"subset": None, "nano_beir": False}
TEST = PLAIN | {"test": "given"}


def write(raw: Path, files: dict[str, Rows]) -> Path:
    for name, rows in files.items():
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return raw


def task(qrels: str = "data/test-00000-of-00001.parquet", rows: Rows = QRELS, **more: Rows) -> dict[str, Rows]:
    corpus, queries = "corpus/corpus-00000-of-00001.parquet", "queries/queries-00000-of-00001.parquet"
    return {corpus: CORPUS, queries: QUERIES, qrels: rows} | {
        name.replace("__", "/"): rows for name, rows in more.items()
    }


@pytest.mark.parametrize(
    "qrels",
    [
        "default/test-00000-of-00001.parquet",
        "default/test/0000.parquet",
        "data/test-00000-of-00001.parquet",
        "qrels/test-00000-of-00001.parquet",
        "qrels/test.jsonl",
        "test-00000-of-00001.parquet",
    ],
)
def test_judgments_are_found_where_the_hub_puts_them(qrels: str, tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "raw", task(qrels)), tmp_path / "out", "mteb", **TEST)
    assert data.judged("test") == {
        ("why tides", "The moon pulls the sea.", 2),
        ("why tides", "The sun warms the sea.", 0),
        ("why warm", "The sun warms the sea.", 1),
    }
    assert data.counts() == {"test": (2, 3)}


def test_lines_and_the_names_id_and_query_are_read(tmp_path: Path) -> None:
    renamed = [{"id" if key == "_id" else key: value for key, value in row.items()} for row in CORPUS + QUERIES]
    files = {"corpus.jsonl": renamed[:2], "query/test.jsonl": renamed[2:], "qrels/test.jsonl": QRELS}
    data = convert_raw(write(tmp_path / "raw", files), tmp_path / "out", "mteb", **TEST)
    assert list(data.queries("test")) == ["q1", "q2"]
    assert list(data.texts()) == ["d1", "d2"]


def test_title_is_kept_and_an_empty_one_is_none(tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "raw", task()), tmp_path / "out", "mteb", **TEST)
    titles = data.corpus["title"].tolist()
    assert titles[0] == "Tides"
    assert not isinstance(titles[1], str)


def test_splits_are_those_of_the_judgments(tmp_path: Path) -> None:
    train, dev, test = ([row] for row in (QRELS[2], {"query-id": "q3", "corpus-id": "d1", "score": 1}, QRELS[0]))
    more = {"data__train-0.parquet": train, "data__validation-0.parquet": dev}
    files = task(rows=test, **more)
    data = convert_raw(write(tmp_path / "raw", files), tmp_path / "out", "mteb", **TEST | {"dev": "given"})
    assert [data.queries(name) for name in ("train", "dev", "test")] == [
        {"q2": "why warm"},
        {"q3": "unasked"},
        {"q1": "why tides"},
    ]


def test_query_judged_in_two_splits_stays_in_the_first(tmp_path: Path) -> None:
    files = task(rows=QRELS, **{"data__train-0.parquet": QRELS[2:]})
    data = convert_raw(write(tmp_path / "raw", files), tmp_path / "out", "mteb", **TEST)
    assert data.queries("train") == {"q2": "why warm"}
    assert data.statistics["dropped"]["judgment in a second split"] == 1


def test_unjudged_queries_are_counted(tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "raw", task()), tmp_path / "out", "mteb", **TEST)
    assert data.statistics["dropped"]["query without judgments"] == 1


def test_subset_is_chosen_by_name(tmp_path: Path) -> None:
    files = {
        "de-corpus/test-0.parquet": CORPUS,
        "de-queries/test-0.parquet": QUERIES,
        "de-qrels/test-0.parquet": QRELS,
        "fr-corpus/test-0.parquet": [CORPUS[0] | {"text": "autre"}],
    }
    raw = write(tmp_path / "raw", files)
    data = convert_raw(raw, tmp_path / "out", "mteb", **TEST | {"subset": "de"})
    assert data.counts() == {"test": (2, 3)}
    with pytest.raises(InputError, match="raw: expected corpus as a folder or file .* found none; put it"):
        convert_raw(raw, tmp_path / "out", "mteb", **TEST)
    with pytest.raises(InputError, match="raw: expected judgments in fr-qrels, found none"):
        convert_raw(raw, tmp_path / "out", "mteb", **TEST | {"subset": "fr"})


def test_instruction_becomes_the_prompt(tmp_path: Path) -> None:
    more = {"instruction__test-0.parquet": [{"query-id": "q1", "instruction": "Find causes."}]}
    data = convert_raw(write(tmp_path / "raw", task(**more)), tmp_path / "out", "mteb", **TEST)
    prompts = data.splits["test"].queries["prompt"].tolist()
    assert prompts[0] == "Find causes."
    assert not isinstance(prompts[1], str)


def test_answer_is_kept_and_ranked_lists_are_not_read(tmp_path: Path) -> None:
    files = task(**{"top_ranked__test-0.parquet": [{"query-id": "q1", "corpus-ids": ["d1"]}]})
    files["queries/queries-00000-of-00001.parquet"] = [row | {"answer": f"since {row['_id']}"} for row in QUERIES]
    data = convert_raw(write(tmp_path / "raw", files), tmp_path / "out", "mteb", **TEST)
    assert data.splits["test"].queries["answer"].tolist() == ["since q1", "since q2"]
    assert data.counts() == {"test": (2, 3)}


def test_grades_kept_as_floats_are_whole_numbers(tmp_path: Path) -> None:
    rows = [row | {"score": float(row["score"])} for row in QRELS]
    data = convert_raw(write(tmp_path / "raw", task(rows=rows)), tmp_path / "out", "mteb", **TEST)
    assert ("why tides", "The moon pulls the sea.", 2) in data.judged("test")


def test_nano_beir_has_one_grade_and_its_train_split_is_test(tmp_path: Path) -> None:
    rows = [{"query-id": "q1", "corpus-id": "d1"}, {"query-id": "q2", "corpus-id": "d2"}]
    files = task("qrels/train-00000-of-00001.parquet", rows)
    files["corpus/corpus-00000-of-00001.parquet"] = [*CORPUS, {"_id": "d3", "title": "", "text": ""}]
    files["queries/queries-00000-of-00001.parquet"] = [*QUERIES[:2], {"_id": "q3", "text": ""}]
    data = convert_raw(write(tmp_path / "raw", files), tmp_path / "out", "mteb", **TEST | {"nano_beir": True})
    assert data.judged("test") == {
        ("why tides", "The moon pulls the sea.", 1),
        ("why warm", "The sun warms the sea.", 1),
    }
    assert data.statistics["dropped"]["empty text"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data/test-00000-of-00001.parquet": [{"query-id": 1.0, "corpus-id": 2, "score": 1}]},
            "query-id: expected an id as text or a whole number, got 1.0",
        ),
        (
            {"corpus/corpus-00000-of-00001.parquet": [{"_id": 7.5, "text": "x"}]},
            "doc_id: expected text or a whole number, got 7.5",
        ),
        (
            {"data/test-00000-of-00001.parquet": [QRELS[0] | {"score": 0.5}]},
            "relevance: expected a whole number, got 0.5",
        ),
        (
            {"data/test-00000-of-00001.parquet": [{"query-id": "q1", "corpus-id": "d1"}]},
            "relevance: expected a whole number, got None",
        ),
        ({"data/test-00000-of-00001.parquet": [{"qid": "q1"}]}, "expected query-id, corpus-id, got the columns qid"),
        (
            {"data/part-0.parquet": QRELS},
            "part-0.parquet: expected a name that begins with train, dev, val, valid, validation, test",
        ),
    ],
)
def test_wrong_rows_and_names_are_refused(changes: dict[str, Rows], message: str, tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", task() | changes)
    with pytest.raises(InputError, match=message):
        convert_raw(raw, tmp_path / "out", "mteb", **TEST)


def test_missing_judgments_and_queries_are_named(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", {"corpus/test-0.parquet": CORPUS, "queries/test-0.parquet": QUERIES})
    with pytest.raises(
        InputError, match="raw: expected judgments in default, data, qrels or files such as test-0.parquet"
    ):
        convert_raw(raw, tmp_path / "out", "mteb", **TEST)
    (raw / "queries/test-0.parquet").unlink()
    write(raw, {"qrels/test-0.parquet": QRELS})
    with pytest.raises(InputError, match="raw: expected queries or query as a folder or file"):
        convert_raw(raw, tmp_path / "out", "mteb", **TEST)


def test_subset_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"params.yaml: convert.x.subset"):
        convert_raw(tmp_path, tmp_path / "out", "mteb", **TEST | {"subset": "../other"})
