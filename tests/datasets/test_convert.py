"""From a source to a clean, split, guarded and counted data set."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retune.core.errors import InputError
from retune.datasets.convert import convert, parse_params
from retune.datasets.corpus_writer import CorpusWriter
from retune.reading.source_records import Document
from tests.support.conversion import Converted, convert_raw
from tests.support.parameters import CONVERT

GUARD = {"near_duplicate": 0.8, "min_words": 4}


def converted(folder: Path, content: dict[str, Any], **values: Any) -> Converted:
    """Convert a rag_json source: documents and queries by id, judgments by query."""
    folder.mkdir(exist_ok=True)
    (folder / "raw.json").write_text(json.dumps({"relevant_docs": {}} | content), encoding="utf-8")
    return convert_raw(folder / "raw.json", folder / "out", "rag_json", **{"val_is_test": True} | values)


def pairs(texts: list[str], **extra: Any) -> dict[str, Any]:
    """Return a source of queries q0, q1, ... each with a document of its own."""
    numbers = range(len(texts))
    return {
        "corpus": {f"d{n}": f"document {n}" for n in numbers},
        "queries": {f"q{n}": text for n, text in enumerate(texts)},
        "relevant_docs": {f"q{n}": [f"d{n}"] for n in numbers},
    } | extra


def test_documents_of_equal_text_become_the_first_and_judgments_follow(tmp_path: Path) -> None:
    result = converted(
        tmp_path,
        {
            "corpus": {"d0": "x", "d1": "y", "d2": "x"},
            "queries": {"q0": "a", "q1": "b"},
            "relevant_docs": {"q0": ["d0", "d2"], "q1": ["d2"]},
        },
    )
    assert result.texts() == {"d0": "x", "d1": "y"}
    assert result.judged() == {("a", "x", 1), ("b", "x", 1)}
    assert result.statistics["dropped"] == {"equal text": 1, "judgment given again": 1}


def test_queries_of_equal_text_become_one_with_all_positives(tmp_path: Path) -> None:
    result = converted(tmp_path, pairs(["a", "a", "b"]), merge_queries=True)
    assert result.queries() == {"q0": "a", "q2": "b"}
    assert result.judged() == {("a", "document 0", 1), ("a", "document 1", 1), ("b", "document 2", 1)}
    assert result.statistics["dropped"] == {"query merged": 1}
    assert result.statistics["splits"]["train"]["positives_per_query"] == {"p0": 1, "p50": 1, "p95": 1, "p100": 2}


def test_queries_of_equal_text_stay_apart_where_the_parameters_say_so(tmp_path: Path) -> None:
    result = converted(tmp_path, pairs(["a", "a", "b"]), merge_queries=False)
    assert list(result.queries()) == ["q0", "q1", "q2"]
    assert result.statistics["splits"]["train"]["repeated_texts"] == 1


def test_first_of_repeated_queries_is_kept_with_its_own_judgments(tmp_path: Path) -> None:
    result = converted(tmp_path, pairs(["a", "a", "b"]), merge_queries="keep_first")
    assert result.judged() == {("a", "document 0", 1), ("b", "document 2", 1)}
    assert result.statistics["dropped"] == {"query repeated": 1}


def test_queries_of_two_splits_are_not_merged(tmp_path: Path) -> None:
    content = pairs(["a", "a"], queries_split={"train": ["q0"], "test": ["q1"]})
    assert converted(tmp_path, content, merge_queries=True, test="given").counts() == {"train": (1, 1), "test": (1, 1)}


def test_negative_that_is_the_query_or_a_positive_is_dropped(tmp_path: Path) -> None:
    result = converted(
        tmp_path,
        {
            "corpus": {"d0": "x", "d1": "y", "d2": "a", "d3": "x"},
            "queries": {"q0": "a"},
            "relevant_docs": {"q0": ["d0"]},
            "negative_docs": {"q0": ["d1", "d2", "d3"]},
        },
    )
    assert result.judged() == {("a", "x", 1), ("a", "y", 0)}
    dropped = {"equal text": 1, "negative equal to its query": 1, "negative equal to a positive": 1}
    assert result.statistics["dropped"] == dropped


def test_merging_queries_drops_a_negative_that_the_other_query_has_as_positive(tmp_path: Path) -> None:
    content = pairs(["a", "a"], negative_docs={"q0": ["d1"]})
    result = converted(tmp_path, content, merge_queries=True)
    assert result.judged() == {("a", "document 0", 1), ("a", "document 1", 1)}
    assert result.statistics["dropped"]["negative equal to a positive"] == 1


def test_unknown_ids_and_unanswered_queries_are_counted_up_to_the_stated_share(tmp_path: Path) -> None:
    content = pairs(["a", "b", "c", "d"])
    content["relevant_docs"] = {"q0": ["d0", "gone"], "q1": ["d1"], "q2": ["d2"], "q3": [], "gone": ["d0"]}
    result = converted(tmp_path, content, max_unusable=0.4)
    assert list(result.queries()) == ["q0", "q1", "q2"]
    assert result.statistics["dropped"] == {
        "judgment of an unknown query or document": 2,
        "query without a relevant document": 1,
    }
    with pytest.raises(InputError, match=r"expected at most 39.00% .*, got 2 of 5, first query_id 'q0' doc_id 'gone'"):
        converted(tmp_path, content, max_unusable=0.39)


def test_first_is_kept_across_splits_that_become_one(tmp_path: Path) -> None:
    content = pairs(["a", "a"], queries_split={"train": ["q0"], "test": ["q1"]})
    assert converted(tmp_path, content, merge_queries="keep_first", assign_all_to="train").counts() == {"train": (1, 1)}


def test_negative_with_the_text_of_a_positive_under_a_title_is_dropped(tmp_path: Path) -> None:
    rows = [("one", None, 1), ("one", "T", 0), ("first", "T", 0), ("two", "T", 0)]
    raw = tmp_path / "raw"
    (raw / "qrels").mkdir(parents=True)
    documents = [{"_id": f"d{n}", "title": title or "", "text": text} for n, (text, title, _) in enumerate(rows)]
    (raw / "corpus.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
    (raw / "queries.jsonl").write_text('{"_id": "q", "text": "first"}\n')
    (raw / "qrels/train.tsv").write_text("".join(f"q\td{n}\t{grade}\n" for n, (_, _, grade) in enumerate(rows)))
    result = convert_raw(raw, tmp_path / "out", "beir")
    assert result.splits["train"].qrels["doc_id"].tolist() == ["d0", "d3"]
    assert result.statistics["dropped"] == {"negative equal to its query": 1, "negative equal to a positive": 1}


def test_repeated_judgment_keeps_the_highest_relevance_with_its_own_score(tmp_path: Path) -> None:
    row = {"query": "a", "pos": ["x"], "neg": ["x", "y", "y"], "pos_scores": [0.2], "neg_scores": [0.9, 0.3, 0.4]}
    (tmp_path / "train.jsonl").write_text(json.dumps(row))
    result = convert_raw(tmp_path / "train.jsonl", tmp_path / "out", "flagembedding")
    scores = dict(zip(result.splits["train"].scores["doc_id"], result.splits["train"].scores["score"], strict=True))
    assert {result.texts()[doc_id]: score for doc_id, score in scores.items()} == {"x": 0.2, "y": 0.4}
    dropped = result.statistics["dropped"]
    assert (dropped["negative equal to a positive"], dropped["judgment given again"]) == (1, 1)


def test_answers_of_merged_queries_are_counted(tmp_path: Path) -> None:
    content = pairs(["a", "a", "a"], reference_answers={"q1": "yes", "q2": "no"})
    result = converted(tmp_path, content, merge_queries=True)
    assert result.splits["train"].queries["answer"].tolist() == ["yes"]
    assert result.statistics["dropped"]["answer of a merged query"] == 1


def test_queries_of_dev_that_are_also_in_test_are_counted(tmp_path: Path) -> None:
    content = pairs(["a", "a", "b"], queries_split={"dev": ["q0"], "test": ["q1"], "train": ["q2"]})
    result = converted(tmp_path, content, val_is_test=False, dev="given", test="given")
    assert result.statistics["splits"]["test"]["queries_also_in_dev"] == 1


def test_sample_for_the_language_stays_small_and_even(tmp_path: Path) -> None:
    writer = CorpusWriter(tmp_path / "corpus.parquet")
    for number in range(5000):
        writer.add(Document(f"d{number}", None, f"{number} " + "x" * 5000, ""))
    writer.close()
    numbers = [int(text.split()[0]) for text in writer.sample]
    assert 200 <= len(numbers) < 400
    assert len({after - before for before, after in pairwise(numbers)}) == 1
    assert max(map(len, writer.sample)) == 2000


def test_everything_can_go_into_one_split(tmp_path: Path) -> None:
    content = pairs(["a", "b"], queries_split={"train": ["q0"], "dev": ["q1"]})
    assert converted(tmp_path, content, assign_all_to="test", test="given").counts() == {"test": (2, 2)}


def test_given_splits_can_be_cut_anew(tmp_path: Path) -> None:
    content = pairs([f"query {n}" for n in range(10)], queries_split={"test": ["q1"]})
    result = converted(tmp_path, content, assign_all_to="train", test=0.3)
    assert result.counts() == {"train": (7, 7), "test": (3, 3)}


LEAKING = pairs(
    ["How do I solve a linear system?", "how do i solve  a linear system?", "What is a graph"],
    queries_split={"train": ["q0", "q2"], "test": ["q1"]},
)


def test_leaks_are_reported_in_a_file_with_texts_and_in_numbers_without(tmp_path: Path) -> None:
    result = converted(tmp_path, LEAKING, test="given", leaks={"policy": "report"} | GUARD)
    assert result.counts() == {"train": (2, 2), "test": (1, 1)}
    assert result.statistics["leaks"] == {"policy": "report", "train_queries": 1, "exact": 1}
    leaks = pd.read_parquet(tmp_path / "out/leaks.parquet")
    assert leaks[["train_query_id", "query_id", "split"]].to_numpy().tolist() == [["q0", "q1", "test"]]
    assert "linear" not in json.dumps(result.statistics)


def test_leaking_train_queries_are_dropped_where_the_parameters_say_so(tmp_path: Path) -> None:
    result = converted(tmp_path, LEAKING, test="given", leaks={"policy": "drop"} | GUARD)
    assert list(result.queries()) == ["q2"]
    assert result.statistics["dropped"] == {"train query that leaks": 1}


def test_leaks_fail_where_the_parameters_say_so_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got 1 exact, first train 'q0' and test 'q1'; fix the data"):
        converted(tmp_path, LEAKING, test="given", leaks={"policy": "fail"} | GUARD)
    assert not list((tmp_path / "out").rglob("*"))


def test_dropping_every_train_query_is_refused(tmp_path: Path) -> None:
    content = LEAKING | {"queries_split": {"train": ["q0"], "test": ["q1", "q2"]}}
    with pytest.raises(InputError, match="policy drop leaves no train query"):
        converted(tmp_path, content, test="given", leaks={"policy": "drop"} | GUARD)


def test_statistics_count_lengths_languages_and_provenance(tmp_path: Path) -> None:
    english = ["the quick brown fox jumps over the lazy dog and runs away"] * 2
    result = converted(tmp_path, pairs([english[0], "what is the name of this animal"]))
    statistics = result.statistics
    assert statistics["corpus"]["length"]["words"] == {"p0": 2, "p50": 2, "p95": 2, "p100": 2}
    assert statistics["splits"]["train"]["language"] == {"en": 1.0}
    assert statistics["provenance"] == {"licence": "MIT", "source": "made for a test", "use": "any"}


def test_length_percentiles_rise_from_shortest_to_longest(tmp_path: Path) -> None:
    content = pairs(["a", "bb", "ccc"])
    (tmp_path / "raw.json").write_text(json.dumps(content))
    params = parse_params("convert.x", CONVERT | {"format": "rag_json", "val_is_test": True})
    _, lengths = convert(params, tmp_path / "raw.json", tmp_path / "out", seed=0, where="convert.x")
    assert lengths["query_characters"].iloc[[0, 50, 100]].tolist() == [1, 2, 3]
    assert lengths["document_characters"].unique().tolist() == [len("document 0")]


def test_corpus_of_many_batches_equals_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retune.datasets.corpus_writer.BATCH_ROWS", 7)
    content = pairs([f"query {n}" for n in range(30)])
    assert converted(tmp_path, content).texts() == content["corpus"]
    assert pd.read_parquet(tmp_path / "out/corpus.parquet")["title"].isna().all()
