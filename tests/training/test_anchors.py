"""Texts of a guarded data set keep the base's vectors, and weights stay near the base's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from retune.core.errors import InputError
from retune.core.records import Mined, write_mined
from retune.encoding.encoder import Encoder
from retune.mining.mixing import mix
from retune.models.directory import load_model
from retune.params.mix import Mix
from retune.training import finetune
from retune.training.anchors import Anchors
from retune.training.batches.plan import Plan
from retune.training.losses import RankingLoss, squared_distance
from tests.support.examples import batches
from tests.support.loss_batch import DOCUMENTS, EVERYTHING, GROUPS, QUERIES, SCORES, features
from tests.support.parameters import COMPUTE
from tests.support.training_task import first_weights, mined, params, task
from tests.support.trainings import LORA, check_resumed_after_kill, train

ANCHOR = {"dataset": "guarded", "weight": 5.0}


def guarded() -> Mined:
    """Other texts than those of `mined`, of a source of their own."""
    examples = mined()
    for table in (examples.queries, examples.documents):
        table["text"] = "the " + table["text"] + " of a"
    examples.examples["source"] = "guarded"
    return examples


def mixture(*, weight: float = 1.0) -> Mined:
    return mix(mined(), guarded(), Mix(first="home", second="other", first_weight=1.0, second_weight=weight))


def distance_to_base(base: Path, model: Path) -> float:
    """Return how far the texts of the guarded data set moved: the mean squared distance of their vectors."""
    texts = guarded().documents["text"].tolist()
    before, after = (Encoder.load(folder, COMPUTE).encode_documents(texts) for folder in (base, model))
    return float(np.square(before - after).sum(axis=1).mean())


def trained(base: Path, folder: Path, name: str, **changes: object) -> Path:
    """Train a model on the mixture."""
    described = task(base, folder, checkpoint="last", **changes)
    write_mined(described.mined, mixture())
    finetune.finetune(described, folder / name, folder / f"{name}.tsv")
    return folder / name


def test_anchors_are_the_base_s_vectors_of_one_data_set(tiny_model: Path) -> None:
    plan, encoder = Plan(mixture(), params(), seed=1), Encoder.load(tiny_model, COMPUTE)
    anchors = Anchors(encoder, plan.examples, "guarded")
    found = [batch for batch in batches(plan) if anchors.has(batch)]
    assert {plan.examples.source_names[batch.source] for batch in found} == {"other/guarded"}
    assert 0 < len(found) < plan.num_batches
    for batch in found:
        texts, prompts = zip(*(plan.queries[row] for row in batch.queries), strict=True)
        documents = [plan.documents[position] for position in batch.documents]
        expected = np.concatenate([encoder.encode_queries(texts, prompts), encoder.encode_documents(documents)])
        np.testing.assert_array_equal(anchors.of(batch), expected)


@pytest.mark.parametrize("dataset", ["made", "words"])
def test_anchor_names_one_of_several_data_sets(tiny_model: Path, dataset: str) -> None:
    examples = Plan(mined(), params(), seed=1).examples
    with pytest.raises(InputError, match=f"anchor.dataset: expected one of several data sets .* got '{dataset}'"):
        Anchors(Encoder.load(tiny_model, COMPUTE), examples, dataset)


def test_loss_of_anchored_texts_is_their_distance_to_the_base(tiny_model: Path) -> None:
    model = load_model(tiny_model, "cpu", attention="eager").eval()
    loss = RankingLoss(model, params(anchor=ANCHOR), token_budget=32)
    labels = {"groups": GROUPS, "is_compared": EVERYTHING, "scores": SCORES}
    vectors = torch.tensor(model.encode([*QUERIES, *DOCUMENTS], normalize_embeddings=True))
    inputs = features(model, tiny_model)
    assert loss(inputs, labels | {"targets": vectors}).item() == pytest.approx(0.0, abs=1e-5)
    others = torch.nn.functional.normalize(torch.ones_like(vectors), dim=1)
    expected = 5.0 * float((vectors - others).square().sum(dim=1).mean())
    assert loss(inputs, labels | {"targets": others}).item() == pytest.approx(expected, abs=1e-4)
    assert squared_distance(3.0 * vectors, vectors).item() == pytest.approx(0.0, abs=1e-10)
    assert loss.num_alone == 0


@pytest.mark.slow
def test_anchored_texts_move_less_and_the_others_are_learned(tiny_model: Path, tmp_path: Path) -> None:
    replayed = trained(tiny_model, tmp_path, "replayed")
    anchored = trained(tiny_model, tmp_path, "anchored", anchor=ANCHOR)
    assert distance_to_base(tiny_model, anchored) < 0.5 * distance_to_base(tiny_model, replayed)
    assert "anchor" in (anchored / "model-card.md").read_text()


@pytest.mark.slow
def test_l2_sp_moves_weights_to_the_base_after_each_step(tiny_model: Path, tmp_path: Path) -> None:
    base = first_weights(tiny_model)
    train(tiny_model, tmp_path, "free", checkpoint="last")
    train(tiny_model, tmp_path, "near", checkpoint="last", l2_sp=100.0)
    free, near = (float((first_weights(tmp_path / name) - base).norm()) for name in ("free", "near"))
    assert near < 0.8 * free
    one_step = {"checkpoint": "last", "epochs": 1, "batch_size": 24, "warmup_ratio": 0.0}
    train(tiny_model, tmp_path, "step", **one_step)
    train(tiny_model, tmp_path, "step_near", **one_step, l2_sp=20.0)
    moved, kept = (first_weights(tmp_path / name) - base for name in ("step", "step_near"))
    torch.testing.assert_close(kept, (1.0 - 5e-3 * 20.0) * moved, atol=1e-6, rtol=1e-3)  # learning rate * strength


@pytest.mark.slow
def test_killed_training_near_the_base_resumes_with_the_same_bytes(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_resumed_after_kill(4, tiny_model, tmp_path, monkeypatch, l2_sp=20.0, checkpoint="last")


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(tiny_model: Path, tmp_path: Path, forks: None) -> None:
    one, two = (
        trained(tiny_model, tmp_path, f"of_{count}", processes=count, anchor=ANCHOR, l2_sp=20.0) for count in (1, 2)
    )
    torch.testing.assert_close(first_weights(two), first_weights(one), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "changes", [LORA, {"trainer": {"fsdp": "full_shard"}}, {"trainer": {"optim": "galore_adamw_layerwise"}}]
)
def test_l2_sp_needs_all_weights_in_one_place(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="l2_sp: expected 0 unless method is full"):
        params(l2_sp=0.1, **changes)


def test_l2_sp_does_not_move_weights_past_the_base() -> None:
    assert params(learning_rate=5e-3, l2_sp=200.0).l2_sp == 200.0
    with pytest.raises(ValidationError, match=r"l2_sp: expected at most 1 / learning_rate \(200\), .* got 201"):
        params(learning_rate=5e-3, l2_sp=201.0)
