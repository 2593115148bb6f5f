"""MPNet on packed rows: each text keeps its own relative position bias, which learns as in padded batches."""

import logging
import shutil
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer

from retune.core import provenance
from retune.models.directory import SETTINGS
from retune.params.methods import Lora
from retune.training.adapters import add_lora
from retune.training.losses import RankingLoss
from retune.training.packed.architectures import packed_attention
from tests.support.encoders import random_encoder
from tests.support.loss_batch import EVERYTHING, GROUPS
from tests.support.training_task import params
from tests.support.trainings import train

LENGTHS = ([60, 7, 33], [32, 31, 3, 50])  # of queries and documents; distances up to 8 have a bias each
PADDING = 1  # where MPNet's positions start, whatever the configuration says
BIAS = "relative_attention_bias.weight"


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> SentenceTransformer:
    model = random_encoder("mpnet", tiny_model, tmp_path / "mpnet")
    torch.nn.init.normal_(model[0].model.encoder.relative_attention_bias.weight)  # it decides what a token sees
    return model


def columns() -> list[dict[str, torch.Tensor]]:
    """Return random texts; the first has the padding token inside."""
    torch.manual_seed(1)
    made = []
    for lengths in LENGTHS:
        is_token = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        made.append({"input_ids": torch.randint(2, 96, is_token.shape), "attention_mask": is_token.long()})
        made[-1]["input_ids"][~is_token] = PADDING
    made[0]["input_ids"][0, 5] = PADDING
    return made


def loss_and_gradients(model: SentenceTransformer, **changes: object) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = RankingLoss(model, params(**changes), token_budget=128)
    value = loss(columns(), {"groups": GROUPS, "is_compared": EVERYTHING})
    value.backward()
    return value.item(), {
        name: values.grad.clone() for name, values in model.named_parameters() if values.grad is not None
    }


def check_same(actual: tuple[float, dict[str, torch.Tensor]], expected: tuple[float, dict[str, torch.Tensor]]) -> None:
    assert actual[0] == pytest.approx(expected[0], rel=1e-5)
    assert actual[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        assert (actual[1][name] - gradient).norm() <= 1e-4 * gradient.norm() + 1e-6, name


@pytest.mark.parametrize("gradient_caching", [False, True])
def test_loss_and_gradients_are_those_of_padded_batches(model: SentenceTransformer, gradient_caching: bool) -> None:
    expected = loss_and_gradients(model, attention="eager", gradient_caching=gradient_caching)
    check_same(loss_and_gradients(model, gradient_caching=gradient_caching), expected)
    assert next(values for name, values in expected[1].items() if name.endswith(BIAS)).norm() > 0.01


def test_vectors_are_those_of_padded_batches(model: SentenceTransformer) -> None:
    texts = [(ids, mask) for column in columns() for ids, mask in zip(*column.values(), strict=True)]
    lengths = [int(mask.sum()) for _, mask in texts]
    packed, padded = (
        RankingLoss(model, params(attention=attention), token_budget=128)._encode(texts, lengths)
        for attention in ("auto", "eager")
    )
    torch.testing.assert_close(packed, padded, rtol=1e-4, atol=1e-5)


def test_bias_is_made_once_a_row_for_its_longest_text(model: SentenceTransformer) -> None:
    shapes = []
    model[0].model.encoder.relative_attention_bias.register_forward_hook(
        lambda module, inputs, output: shapes.append(tuple(output.shape))
    )
    loss_and_gradients(model)
    assert shapes == [(64, 64, 2), (64, 64, 2)]  # rows of 60 + 50 and of 33 + 32 + 31 + 7 + 3 tokens, by the head


def test_attention_is_restored_after_a_row_and_after_an_error(model: SentenceTransformer) -> None:
    loss_and_gradients(model)
    with pytest.raises(ZeroDivisionError), packed_attention(model, model[0].model.config, []):
        raise ZeroDivisionError
    assert not [
        name for name, module in model.named_modules() if {"forward", "compute_position_bias"} & vars(module).keys()
    ]


def test_adapter_learns_as_in_padded_batches(model: SentenceTransformer) -> None:
    lora = Lora(rank=4, alpha=8, dropout=0.0, load_in_4bit=False, target_modules="all-linear")
    add_lora(model, lora, base="mpnet", seed=0)
    for name, values in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(values)  # as if it had learned something
    check_same(loss_and_gradients(model), loss_and_gradients(model, attention="eager"))


def test_training_packs_and_says_so(
    model: SentenceTransformer, tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model.save(str(tmp_path / "base"), create_model_card=False)
    for name in (SETTINGS, provenance.FILE):
        shutil.copy(tiny_model / name, tmp_path / "base")
    with caplog.at_level(logging.INFO):
        train(tmp_path / "base", tmp_path, epochs=1)
    assert "packed attention" in caplog.text
