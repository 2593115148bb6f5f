"""Scores that come with a data set: of pairs for CoSENT, and of a teacher for KL and MarginMSE."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sentence_transformers.sentence_transformer.losses import CoSENTLoss

from retune.core.errors import InputError
from retune.core.records import Dataset, Mined, Split, empty_split, read_mined, read_split, write_dataset, write_mined
from retune.encoding.encoder import Encoder
from retune.mining.audit import audit, suspects
from retune.mining.inputs import read_inputs
from retune.mining.mine import mine
from retune.models.directory import load_model
from retune.params.mine import Mine
from retune.training import finetune
from retune.training.batches.plan import Plan
from retune.training.losses import RankingLoss, cosent
from tests.support.conversion import convert_raw
from tests.support.loss_batch import DOCUMENTS, QUERIES, features, gradients
from tests.support.parameters import COMPUTE, recipe
from tests.support.training_task import corpus, params, split, task

COSENT = {"loss": "cosent", "hard_negatives": 0, "in_batch_negatives": False}


def scored(dataset: Path, model: Path, **changes: object) -> tuple[Mined, dict]:
    """Mine a converted data set's own scores, write and read them back; return the audit as well."""
    entry = Mine.parse("mine.x", recipe("x", "tiny", **{"negatives_from": "scored", "negatives": 9} | changes))
    encoder = Encoder.load(model, COMPUTE)
    inputs = read_inputs(dataset, dataset, entry)
    mined, outcome = mine(inputs, encoder, encoder, entry, seed=0)
    write_mined(dataset / "mined", mined, suspects=suspects(inputs, outcome))
    return read_mined(dataset / "mined"), audit(inputs, outcome, entry)


def write_lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def triples(plan: Plan, epoch: int = 0) -> list[tuple[str, str, float]]:
    """Return query, document and score of every pair of an epoch."""
    found = []
    for number in range(epoch * plan.num_batches, (epoch + 1) * plan.num_batches):
        batch = plan.batch(number)
        documents = batch.documents[batch.groups[:, 0]]
        assert batch.groups.shape == batch.scores.shape == (len(batch.queries), 1)
        found += [
            (plan.queries[query][0], plan.documents[document], round(float(score), 6))
            for query, document, score in zip(batch.queries, documents, batch.scores[:, 0], strict=True)
        ]
    return found


def test_cosent_by_hand() -> None:
    # the second pair scores higher and has the lower logit: log(1 + e^(1 - 0))
    value = cosent(torch.tensor([1.0, 0.0]), torch.tensor([0.2, 0.9]))
    assert value.item() == pytest.approx(math.log(1 + math.e), abs=1e-6)
    assert cosent(torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])).item() == 0.0  # nothing is ordered


@pytest.mark.parametrize("scores", [[0.1, 0.9, 0.5], [1.0, 0.0, 1.0], [3.0, 2.0, 1.0], [0.4, 0.4, 0.4]])
def test_cosent_and_its_gradients_equal_those_of_sentence_transformers(scores: list[float], tiny_model: Path) -> None:
    labels = torch.tensor(scores)
    model = load_model(tiny_model, "cpu", attention="eager").eval()
    queries, documents = features(model, tiny_model)
    own = {name: values[: len(QUERIES)] for name, values in documents.items()}
    expected = CoSENTLoss(model, scale=20.0)([queries, own], labels)
    expected.backward()
    theirs = gradients(model)
    assert len(QUERIES) < len(DOCUMENTS)

    model = load_model(tiny_model, "cpu", attention="eager").eval()
    loss = RankingLoss(model, params(**COSENT, temperature=0.05), token_budget=32)
    batch = {"groups": torch.tensor([[0], [1], [2]]), "scores": labels[:, None], "is_compared": torch.eye(3, 4) > 0}
    value = loss(features(model, tiny_model), batch)
    value.backward()
    assert value.item() == pytest.approx(expected.item(), abs=1e-5)  # texts run in other batches
    torch.testing.assert_close(gradients(model), theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("num_pairs", [2, 9, 64])
def test_cosent_of_random_vectors_equals_that_of_sentence_transformers(num_pairs: int) -> None:
    rng = torch.Generator().manual_seed(num_pairs)
    left, right = torch.randn(2, num_pairs, 8, generator=rng, dtype=torch.float64)
    scores = torch.randint(0, 5, (num_pairs,), generator=rng) / 4  # with ties
    vectors = iter([left, right])
    expected = CoSENTLoss(lambda feature: {"sentence_embedding": next(vectors)}, scale=20.0)([{}, {}], scores)
    value = cosent(torch.nn.functional.cosine_similarity(left, right) / 0.05, scores)
    assert value.item() == pytest.approx(expected.item(), abs=1e-6)


def test_scored_pairs_of_a_data_set_become_the_rows_of_cosent(tiny_model: Path, tmp_path: Path) -> None:
    pairs = [("array sum", "sum", 0.9), ("array sum", "graph", 0.1), ("sort node", "path", 0.6), ("root", "edge", 0.7)]
    rows = [{"anchor": query, "positive": document, "label": score} for query, document, score in pairs]
    raw = write_lines(tmp_path / "rows.jsonl", rows)
    convert_raw(raw, tmp_path / "set", "sentence_transformers", relevant_from=0.5)
    mined, found = scored(tmp_path / "set", tiny_model)
    plan = Plan(mined, params(**COSENT, batch_size=2), seed=1)
    assert plan.num_batches == 2
    for epoch in (0, 1):
        assert sorted(triples(plan, epoch)) == sorted(pairs)
    assert triples(plan, 0) != triples(plan, 1)
    assert found["judged"] == found["negatives"] == found["negatives_from"]["judged"] == 1
    assert found["random_score"] == {}


def test_teacher_s_scores_of_a_data_set_reach_the_loss(tiny_model: Path, tmp_path: Path) -> None:
    rows = [
        {"query": "array sum", "pos": ["sum"], "neg": ["graph", "edge"], "pos_scores": [7.5], "neg_scores": [1.5, -2]},
        {"query": "sort node", "pos": ["sort"], "neg": ["path", "sum"], "pos_scores": [4.0], "neg_scores": [3.0, 0.5]},
    ]
    expected = {
        (row["query"], text): score
        for row in rows
        for text, score in zip(row["pos"] + row["neg"], row["pos_scores"] + row["neg_scores"], strict=True)
    }
    convert_raw(write_lines(tmp_path / "rows.jsonl", rows), tmp_path / "set", "flagembedding")
    mined, _ = scored(tmp_path / "set", tiny_model)
    for loss in ({"loss": "kl", "teacher_temperature": 2.0}, {"loss": "margin_mse"}):
        batch = (plan := Plan(mined, params(**loss, batch_size=2, hard_negatives=2), seed=0)).batch(0)
        for row, query in enumerate(batch.queries.tolist()):
            texts = [plan.documents[document] for document in batch.documents[batch.groups[row]]]
            wanted = [expected[plan.queries[query][0], text] for text in texts]
            np.testing.assert_array_equal(batch.scores[row], np.float32(wanted))
            assert texts[0] == {"array sum": "sum", "sort node": "sort"}[plan.queries[query][0]]


def test_scores_that_are_not_as_many_as_texts_are_one_line(tmp_path: Path) -> None:
    row = {"query": "array", "pos": ["sum"], "neg": ["graph", "edge"], "pos_scores": [7.5], "neg_scores": [1.5]}
    with pytest.raises(InputError, match=r"^[^\n]*rows.jsonl:1[^\n]*expected a score for each of 2 texts, got 1$"):
        convert_raw(write_lines(tmp_path / "rows.jsonl", [row]), tmp_path / "set", "flagembedding")


def test_judged_document_without_a_score_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    rows = [
        {"query": "array sum", "pos": ["sum"], "neg": ["graph"], "pos_scores": [7.5], "neg_scores": [1.5]},
        {"query": "sort node", "pos": ["sort"], "neg": ["path"]},
    ]
    convert_raw(write_lines(tmp_path / "rows.jsonl", rows), tmp_path / "set", "flagembedding")
    expected = r"^x: negatives_from scored: expected a score for each of 4 judged documents, got 2 without one, first: 'd_\w+' of"
    with pytest.raises(
        InputError, match=expected + r" query '[^\n]*; fix the raw data, or set negatives_from: given[^\n]*$"
    ):
        scored(tmp_path / "set", tiny_model)


def test_data_set_without_any_score_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    row = {"query": "array sum", "pos": ["sum"], "neg": ["graph"]}
    convert_raw(write_lines(tmp_path / "rows.jsonl", [row]), tmp_path / "set", "flagembedding")
    assert read_split(tmp_path / "set", "train").scores is None
    with pytest.raises(InputError, match="expected a score for each of 2 judged documents, got 2 without one"):
        scored(tmp_path / "set", tiny_model)


def test_positives_alone_are_scored_pairs(tiny_model: Path, tmp_path: Path) -> None:
    rows = [{"a": f"query {n}", "b": f"node {n}", "score": n / 4} for n in range(4)]
    raw = write_lines(tmp_path / "rows.jsonl", rows)
    convert_raw(raw, tmp_path / "set", "sentence_transformers", relevant_from=0.0)  # whatever the score
    mined, _ = scored(tmp_path / "set", tiny_model, negatives=0)
    expected = sorted((row["a"], row["b"], row["score"]) for row in rows)
    assert sorted(triples(Plan(mined, params(**COSENT, batch_size=4), seed=0))) == expected


@pytest.mark.slow
def test_training_learns_the_order_of_scored_pairs(tiny_model: Path, tmp_path: Path) -> None:
    training = task(tiny_model, tmp_path, **COSENT, epochs=6)
    own, documents = split(), corpus()
    ids = documents["doc_id"].tolist()
    far = own.qrels.assign(doc_id=[ids[(row + 5) % len(ids)] for row in range(len(ids))], relevance=0)
    qrels = pd.concat([own.qrels, far], ignore_index=True)
    train = Split(own.queries, qrels, qrels.assign(score=qrels["relevance"] * 0.8 + 0.1))
    splits = {"train": train, "dev": own, "test": empty_split()}
    write_dataset(training.dev, Dataset(documents, splits))
    mined, _ = scored(training.dev, tiny_model)
    write_mined(training.mined, mined)
    finetune.finetune(training, tmp_path / "model", tmp_path / "model.tsv")
    losses = np.loadtxt(tmp_path / "model.tsv", skiprows=1, usecols=1, delimiter="\t")
    assert len(losses) == 6 * 6  # 48 triples, 8 a batch
    assert losses[-6:].mean() < 0.5 * losses[:6].mean()


@pytest.mark.parametrize("changes", [{"hard_negatives": 1}, {"in_batch_negatives": True}, {"random_negatives": 2}, {"batch_size": 1}])  # fmt: skip
def test_cosent_with_negatives_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(
        ValueError, match="loss: expected hard_negatives 0, .* with cosent, which compares scored pairs"
    ):
        params(**COSENT | changes)


def test_random_documents_have_no_scores_of_the_data_set() -> None:
    with pytest.raises(InputError, match="shortage: expected fewer or fail with negatives_from scored, .* got random"):
        Mine.parse("mine.x", recipe("x", "tiny", negatives_from="scored", shortage="random"))
