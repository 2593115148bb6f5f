"""Frozen layers keep the bits of the base, and all others are trained, with every other option."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from retune.core.errors import InputError
from retune.models.directory import load_model
from retune.training.load import freeze_layers
from tests.support.decoders import KINDS, fetch_decoder
from tests.support.encoders import random_encoder
from tests.support.training_task import params
from tests.support.trainings import LORA, check_resumed_after_kill, train


def trained_weights(base: Path, model: Path) -> set[str]:
    """Return the names of the weights in which a model differs from its base."""
    before, after = (load_model(folder, "cpu").state_dict() for folder in (base, model))
    assert set(before) == set(after)
    return {name for name, values in before.items() if not torch.equal(values, after[name])}


def upper_weights(base: Path, layers: str) -> set[str]:
    """Return the names of the weights of the second of two layers, and of what is after them and used."""
    names = [name for name, _ in load_model(base, "cpu").named_parameters()]
    first = next(index for index, name in enumerate(names) if f"{layers}.1." in name)
    return {name for name in names[first:] if "pooler" not in name}  # as the vectors' mean is taken instead


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attention": "eager"},  # padded, not packed
        {"gradient_caching": True},
        {"trainer": {"gradient_checkpointing": True}},
        {"averaging": {"from_epoch": 1}, "checkpoint": "last"},
        {"averaging": {"models": 2, "from_epoch": 1}, "checkpoint": "last"},
        {"processes": 2},
        {"engine": "flagembedding"},
    ],
)
def test_layers_above_the_frozen_ones_are_all_that_is_trained(
    changes: dict[str, object], tiny_model: Path, tmp_path: Path, forks: None
) -> None:
    history = train(tiny_model, tmp_path, frozen_layers=1, epochs=4, **changes)
    assert history["loss"].iloc[-3:].mean() < history["loss"].iloc[:3].mean()
    assert trained_weights(tiny_model, tmp_path / "model") == upper_weights(tiny_model, "encoder.layer")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_lower_layers_of_a_decoder_are_frozen(
    kind: str, tiny_transformer: Path, encoding_values: dict[str, object], tmp_path: Path
) -> None:
    encoding = encoding_values | {"pooling": "lasttoken"}
    base = fetch_decoder(kind, tiny_transformer, encoding, tmp_path / "decoder")
    train(base, tmp_path, frozen_layers=1)
    assert trained_weights(base, tmp_path / "model") == upper_weights(base, "layers")


@pytest.mark.slow
def test_killed_training_resumes_with_the_same_bytes(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_resumed_after_kill(3, tiny_model, tmp_path, monkeypatch, frozen_layers=1)


@pytest.mark.parametrize("kind", ["mpnet", "deberta-v2"])
def test_position_weights_that_all_layers_read_are_frozen_too(kind: str, tiny_model: Path, tmp_path: Path) -> None:
    options = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]} if kind == "deberta-v2" else {}
    model = random_encoder(kind, tiny_model, tmp_path / kind, **options)
    freeze_layers(model, 1)
    trained = {name for name, values in model.named_parameters() if values.requires_grad and "pooler" not in name}
    assert trained == {name for name, _ in model.named_parameters() if "encoder.layer.1." in name}


def test_weights_that_a_model_never_trains_are_left_alone(tiny_model: Path, tmp_path: Path) -> None:
    model = random_encoder("bert", tiny_model, tmp_path / "bert")
    fixed = model[0].model.embeddings.position_embeddings.weight.requires_grad_(False)
    freeze_layers(model, 1)
    assert not fixed.requires_grad
    assert not model[0].model.embeddings.word_embeddings.weight.requires_grad


def test_layers_that_share_all_weights_cannot_be_frozen(tiny_model: Path, tmp_path: Path) -> None:
    model = random_encoder("albert", tiny_model, tmp_path / "albert", embedding_size=16)
    with pytest.raises(InputError, match="frozen_layers: expected 0, as the model has no list of its layers, got 1"):
        freeze_layers(model, 1)


def test_at_least_one_layer_must_be_trained(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="frozen_layers: expected fewer than the model's 2 layers, got 2"):
        train(tiny_model, tmp_path, frozen_layers=2)
    assert not (tmp_path / "model").exists()


def test_frozen_layers_beside_adapters_are_refused() -> None:
    with pytest.raises(ValidationError, match="frozen_layers: expected 0 with method lora, got 1"):
        params(frozen_layers=1, **LORA)
    assert params(frozen_layers=1, method="none").frozen_layers == 1  # to compare tuned with untuned
