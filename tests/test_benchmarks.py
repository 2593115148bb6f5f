"""Data sets and files of the benchmarks, on texts that can be read at a glance; nothing is measured."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import pytrec_eval

from benchmarks import (
    asking,
    distilling,
    evaluating,
    mining,
    mining_sets,
    nudging,
    peers,
    synthesis,
    training,
    training_memory,
)
from retune.core.errors import InputError
from retune.core.records import Split, write_mined
from retune.evaluation.metrics import score_ranking
from retune.mining.inputs import read_inputs
from retune.models.directory import read_encoding
from retune.params.fetch import Fetch
from retune.params.finetune import Finetune
from retune.params.mine import Mine
from retune.params.synthesize import Filters, Synthesize
from retune.training.finetune import finetune
from retune.training.nudging.moves import Variant
from tests.support.llm_server import QUERIES, Response, completion, running
from tests.support.training_task import mined, split, task
from tests.synthesis.test_generated import GENERATED


@pytest.fixture
def corpus() -> pd.DataFrame:
    return pd.DataFrame(
        {"doc_id": list("abcd"), "title": ["A", None, None, None], "text": ["one", "two", "three", "4"]}
    )


@pytest.fixture
def train() -> Split:
    queries = pd.DataFrame({"query_id": ["p", "q", "r"], "text": ["1?", "2?", "3?"], "prompt": None, "answer": None})
    judged = {"query_id": ["p", "p", "q", "r"], "doc_id": ["a", "b", "c", "d"], "relevance": [1, 1, 1, 0]}
    return Split(queries, pd.DataFrame(judged))


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_recipes_and_model_of_the_benchmark_are_valid() -> None:
    Fetch.parse("fetch.minilm", mining_sets.MODEL)
    first, second = (Mine.parse("mine.x", mining.RECIPE | changed) for changed in ({}, mining.SECOND))
    assert (first.range, first.negatives) == ([2, 200], 15)
    assert (second.range, second.negatives, second.limits) != (first.range, first.negatives, first.limits)
    assert set(mining_sets.SOURCES) == {"eedi", "nfcorpus", "python_docs"}


def test_run_of_the_training_benchmark_is_valid_and_as_its_peers_are_told() -> None:
    run = Finetune.parse("finetune.x", training.RUN)
    assert (run.batch_size, run.hard_negatives, run.epochs) == (training.BATCH, 1, 1)
    assert (run.learning_rate, run.temperature) == (training.RATE, training.TEMPERATURE)


def test_given_model_is_cut_at_the_length_of_its_peers(tiny_model: Path, tmp_path: Path) -> None:
    mining_sets.fetch_model(tmp_path / "model", tiny_model)
    given, copied = read_encoding(tiny_model), read_encoding(tmp_path / "model")
    lengths = {"query_max_length": training.LENGTH, "document_max_length": training.LENGTH}
    assert given.document_max_length != training.LENGTH
    assert copied == given.model_copy(update=lengths)
    assert (tmp_path / "model/model.safetensors").read_bytes() == (tiny_model / "model.safetensors").read_bytes()


def test_benchmark_of_memory_prepares_as_the_training_benchmark_does() -> None:
    assert training_memory.prepare is training.prepare


def test_whole_sample_keeps_the_corpus_and_the_queries_that_have_an_answer(corpus: pd.DataFrame, train: Split) -> None:
    documents, split = mining_sets.sample(corpus, train, None, None)
    assert documents["doc_id"].tolist() == ["a", "b", "c", "d"]
    assert split.queries["query_id"].tolist() == ["p", "q"]


def test_sampled_documents_answer_a_query_and_sampled_queries_are_answered(corpus: pd.DataFrame, train: Split) -> None:
    documents, split = mining_sets.sample(corpus, train, 1, 2)
    assert len(documents) == 2
    assert len(split.queries) == 1
    assert set(split.qrels["query_id"]) == set(split.queries["query_id"])
    assert set(split.qrels["doc_id"]) <= set(documents["doc_id"]) <= {"a", "b", "c"}


def test_all_methods_read_the_same_texts(corpus: pd.DataFrame, train: Split, tmp_path: Path) -> None:
    mining_sets.write(tmp_path, *mining_sets.sample(corpus, train, None, None))
    inputs = read_inputs(tmp_path / "dataset", tmp_path / "dataset", Mine.parse("mine.x", mining.RECIPE))
    assert [row["text"] for row in _lines(tmp_path / "pool.jsonl")] == inputs.document_texts
    assert _lines(tmp_path / "rows.jsonl") == [
        {"query": "1?", "pos": ["A one", "two"]},
        {"query": "2?", "pos": ["three"]},
    ]
    assert _lines(tmp_path / "pairs.jsonl") == [
        {"query": "1?", "positive": "A one"},
        {"query": "1?", "positive": "two"},
        {"query": "2?", "positive": "three"},
    ]


def test_made_up_queries_are_starts_of_documents_spaced_evenly() -> None:
    corpus, train = mining_sets.answered(["zero", "one", "two", "three"], 2)
    assert corpus["doc_id"].tolist() == ["d0", "d1", "d2", "d3"]
    assert train.queries["text"].tolist() == ["zero", "two"]
    assert train.qrels["doc_id"].tolist() == ["d0", "d2"]


def test_peers_random_documents_fill_up_what_the_ranking_lacks() -> None:
    pool = [f"document {number}" for number in range(40)]
    row = {"query": "document 5", "pos": ["document 4"]}
    negatives = peers._draw(row, [0, 1, 2, 3, 4, 5, -1, -1], pool)  # ranks from 2, without positive and query
    assert negatives[:2] == ["document 2", "document 3"]
    assert len(negatives) == peers.NEGATIVES
    assert "document 4" not in negatives


def test_headline_cases_alone_begin_with_mine_vs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    taken = {"first": 2.0, "second": 0.5, "sentence_transformers": 10.0, "flagembedding": 100.0}
    calls: list[str] = []

    def call(function: str, method: str, folder: str) -> dict[str, float]:
        calls.append(method)
        return {"seconds": taken[method], "peak_gb": 1.0}

    monkeypatch.setattr(mining, "_call", call)
    cases = mining._beside_peers("eedi", tmp_path) + mining._beside_peers("nfcorpus", tmp_path)
    ratio = {case["name"]: case["ratio"] for case in cases}
    assert [name for name in ratio if str(name).startswith("mine_vs_")] == [
        "mine_vs_sentence_transformers",
        "mine_vs_flagembedding",
    ]
    assert ratio["mine_vs_flagembedding"] == 50.0  # 100 s to 2 s
    assert ratio["nfcorpus_second_mine_vs_sentence_transformers"] == 20.0  # 10 s to 0.5 s
    assert ratio["mine_memory_vs_flagembedding"] == 1.0
    assert calls.count("flagembedding") == 2  # once a data set, as it takes longer than 45 s
    assert calls.count("first") == 6


def test_both_sides_of_the_evaluation_benchmark_score_the_same() -> None:
    doc_ids = pd.Series([f"d{number}" for number in range(500)])
    ranking, split = evaluating.made_up(doc_ids, 20, 10)
    qrels, run = evaluating.as_dictionaries(ranking, doc_ids, split)
    ours = score_ranking(ranking, doc_ids, split, [10]).set_index("query_id")["ndcg_at_10"].to_dict()
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run)
    assert 0.1 < sum(ours.values()) / len(ours) < 0.9
    assert ours == pytest.approx({query: measured["ndcg_cut_10"] for query, measured in theirs.items()}, abs=1e-9)


@pytest.mark.parametrize("variant", ["m", "n"])
def test_nudging_benchmark_measures_the_score_that_was_promised(variant: Variant, tmp_path: Path) -> None:
    nudging.run("nudge", variant, (500, 300, 20), str(tmp_path / "report.json"))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["measured"] == pytest.approx(report["score"], abs=1e-9)
    assert report["base"] < report["score"]


def test_asking_benchmark_gets_usable_replies_of_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETUNE_REPLIES", str(tmp_path / "replies"))
    with running(lambda body, before: Response(completion(QUERIES))) as (server, url):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        asking.run(str(tmp_path / "report.json"), 3)
    assert len(server.received) == 3
    asking_s, import_s = json.loads((tmp_path / "report.json").read_text())
    assert asking_s > 0.0
    assert import_s > 0.0
    assert asking.IDEAL_S == 15.625  # 2,000 / 64 * 0.5


def test_each_filter_and_each_kind_of_synthetic_queries_is_a_row() -> None:
    filters = {"language": True, "copied_words": 8, "round_trip": 50}
    params = Synthesize.parse("synthesize.x", GENERATED | {"filters": filters})
    rows = {row.name: row for row in synthesis.variants(params)}
    assert list(rows) == [
        "all filters", "without language", "without copied_words", "without round_trip", "without any",
        "keywords alone", "question alone",
    ]  # fmt: skip
    without = rows["without copied_words"].params.filters
    assert without is not None
    assert (without.language, without.copied_words, without.round_trip) == (True, None, 50)
    assert rows["without language"].params.filters == Filters(copied_words=8, round_trip=50)
    assert rows["keywords alone"] == ("keywords alone", params, "keywords")


def test_queries_of_one_kind_keep_their_judgments() -> None:
    queries = pd.DataFrame({"query_id": ["a", "b"], "kind": ["title", "claim"], "text": ["x", "y"]})
    qrels = pd.DataFrame({"query_id": ["a", "b", "b"], "doc_id": ["1", "1", "2"], "relevance": 1})
    kept = synthesis.of_kind(Split(queries, qrels), "claim")
    assert kept.queries["text"].tolist() == ["y"]
    assert kept.qrels["doc_id"].tolist() == ["1", "2"]


def test_unknown_synthetic_data_set_is_named() -> None:
    with pytest.raises(InputError, match="synthesize.nothing: expected an entry, found none"):
        synthesis.measure("nothing", [13])


@pytest.mark.slow
@pytest.mark.parametrize("system", distilling.SYSTEMS)
def test_distilling_benchmark_brings_the_student_closer_to_a_better_teacher(
    system: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distilling, "BATCH", 8)
    monkeypatch.setattr(distilling, "RATE", 1e-3)
    texts = split()
    ids = texts.qrels["doc_id"].tolist()
    answers = ids[1:] + ids[:1]  # of each query, which only the teacher knows
    made = task(
        tiny_model, tmp_path, dev=Split(texts.queries, texts.qrels.assign(doc_id=answers)), epochs=30, hard_negatives=0
    )
    taught = mined(num_negatives=0)
    write_mined(made.mined, replace(taught, examples=taught.examples.assign(positive_ids=[[id] for id in answers])))
    finetune(made, tmp_path / "teacher", tmp_path / "teacher.tsv")
    places = [str(place) for place in (made.base, tmp_path / "teacher", made.mined, made.dev)]
    distilling.run(system, places, 12, str(tmp_path / "out.json"))
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["teacher"] > figures["before"] + 0.1
    assert figures["dev"] > figures["before"] + 0.01
    assert figures["minutes"] > 0
