"""Packed rows give the loss and gradients of padded batches, for each kind of encoder that supports them."""

from pathlib import Path
from unittest import mock

import pytest
import torch
from sentence_transformers import SentenceTransformer

from retune.training.losses import RankingLoss
from retune.training.packed.architectures import PACKED, config_to_pack
from retune.training.packed.rows import packed_batches
from tests.support.encoders import random_encoder
from tests.support.loss_batch import EVERYTHING, GROUPS, features, gradients
from tests.support.training_task import params
from tests.support.trainings import train


def loss_and_gradients(model: SentenceTransformer, tiny_model: Path, **changes: object) -> tuple[float, torch.Tensor]:
    model.zero_grad()
    loss = RankingLoss(model, params(**changes), token_budget=24)
    value = loss(features(model, tiny_model), {"groups": GROUPS, "is_compared": EVERYTHING})
    value.backward()
    return value.item(), gradients(model)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("kind", ["bert", "mpnet", "roberta", "xlm-roberta"])
def test_packed_rows_give_the_loss_and_gradients_of_padded_batches(
    kind: str, pooling: str, tiny_model: Path, tmp_path: Path
) -> None:
    model = random_encoder(kind, tiny_model, tmp_path, pooling)
    assert config_to_pack(model, params())
    expected, gradient = loss_and_gradients(model, tiny_model, attention="eager")
    with mock.patch(
        "retune.training.packed.rows.ATTENTION_STEP", 4
    ):  # two groups in a row, one of them without padding
        packed, actual = loss_and_gradients(model, tiny_model)
    assert packed == pytest.approx(expected, rel=1e-6)
    assert (actual - gradient).norm() <= 1e-5 * (1 + gradient.norm())


@pytest.mark.parametrize("changes", [{"gradient_caching": True}, {"matryoshka_dims": [32, 8]}])
def test_packed_rows_go_with_the_other_options(changes: dict[str, object], tiny_model: Path, tmp_path: Path) -> None:
    model = random_encoder("bert", tiny_model, tmp_path)
    expected, gradient = loss_and_gradients(model, tiny_model, attention="eager", **changes)
    packed, actual = loss_and_gradients(model, tiny_model, **changes)
    assert packed == pytest.approx(expected, rel=1e-6)
    assert (actual - gradient).norm() <= 1e-5 * (1 + gradient.norm())


def test_rows_are_padded_in_attention_alone(tiny_model: Path, tmp_path: Path) -> None:
    model = random_encoder("bert", tiny_model, tmp_path)
    shapes = []
    model[0].model.embeddings.register_forward_hook(
        lambda module, inputs, options, output: shapes.append(tuple(output.shape[:2])), with_kwargs=True
    )
    loss_and_gradients(model, tiny_model)
    assert shapes == [(1, 512)] * 2  # of 24 tokens or fewer: filled up, so that shapes are few
    with mock.patch("retune.training.packed.rows.ROW_STEP", 1):
        loss_and_gradients(model, tiny_model)
    tokens = sum(int(column["attention_mask"].sum()) for column in features(model, tiny_model))
    assert len(shapes) == 4
    assert sum(length for _, length in shapes[2:]) == tokens


@pytest.mark.parametrize("kind", ["bert", "mpnet"])
def test_dropout_falls_on_attention_too(kind: str, tiny_model: Path, tmp_path: Path) -> None:
    model = random_encoder(kind, tiny_model, tmp_path, attention_probs_dropout_prob=0.5)
    first, second = (loss_and_gradients(model, tiny_model)[0] for _ in range(2))
    assert first != second
    model.eval()
    without = loss_and_gradients(model, tiny_model, attention="eager")[0]
    assert loss_and_gradients(model, tiny_model)[0] == pytest.approx(without, rel=1e-6)


def test_attention_implementation_is_restored_after_a_step(tiny_model: Path, tmp_path: Path) -> None:
    model = random_encoder("bert", tiny_model, tmp_path)
    loss_and_gradients(model, tiny_model)
    assert model[0].model.config._attn_implementation == "eager" != PACKED


def test_texts_fill_rows_longest_first_up_to_the_budget() -> None:
    assert packed_batches([3, 9, 5, 7, 1, 600], 12) == [([5], 1024), ([1], 512), ([3, 2], 512), ([0, 4], 512)]
    assert packed_batches([], 12) == []


def test_padding_token_in_a_text_has_the_position_that_the_model_gives_it(tiny_model: Path, tmp_path: Path) -> None:
    model = random_encoder("xlm-roberta", tiny_model, tmp_path)
    column = features(model, tiny_model)[0]
    column["input_ids"][0, 2] = model.tokenizer.pad_token_id
    values = [
        RankingLoss(model, params(attention=attention), token_budget=24)(
            [column, features(model, tiny_model)[1]], {"groups": GROUPS, "is_compared": EVERYTHING}
        ).item()
        for attention in ("auto", "eager")
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_models_of_another_kind_are_padded(tiny_model: Path, tmp_path: Path) -> None:
    decoder = random_encoder("bert", tiny_model, tmp_path / "decoder", is_decoder=True)
    static = SentenceTransformer(modules=[torch.nn.Identity()], device="cpu")
    model = random_encoder("bert", tiny_model, tmp_path / "encoder")
    unpooled = SentenceTransformer(modules=[model[0]], device="cpu")
    for other in (decoder, static, unpooled):
        assert config_to_pack(other, params()) is None
    assert config_to_pack(model.to("meta"), params()) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"attention": "eager"},
        {"trainer": {"fsdp": True}},  # it brings the model to a GPU later
        {"trainer": {"gradient_checkpointing": True}},  # it runs layers again in backward
    ],
)
def test_trainings_that_cannot_pack_pad(changes: dict[str, object], tiny_model: Path, tmp_path: Path) -> None:
    assert config_to_pack(random_encoder("bert", tiny_model, tmp_path), params(**changes)) is None


def test_gradient_checkpointing_trains(tiny_model: Path, tmp_path: Path) -> None:
    assert len(train(tiny_model, tmp_path, epochs=1, trainer={"gradient_checkpointing": True}))
