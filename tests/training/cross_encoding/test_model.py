"""The model in training: pairs of similar length run together, which changes neither scores nor gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from torch.testing import assert_close

from retune.models.directory import read_encoding, save_cross_encoder, save_model
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.training.cross_encoding.model import PairModel, load_for_training
from retune.training.spec import Task
from tests.support.cross_encoders import save_tiny_cross_encoder
from tests.support.encoders import random_encoder
from tests.support.parameters import COMPUTE
from tests.support.repository import WORDS
from tests.support.training_task import params
from tests.training.cross_encoding.conftest import CROSS_ENCODER

CPU = torch.device("cpu")
PAIRS = [(" ".join(WORDS[:n]), " ".join(WORDS[: 2 * n])) for n in (1, 9, 2, 8, 1, 7)]  # of 6 to 30 tokens


def load(base: Path, *, seed: int = 3, **changes: object) -> PairModel:
    described = Task(base, base, base, params(**CROSS_ENCODER, **changes), COMPUTE, seed, base)
    return load_for_training(described, read_encoding(base), CPU)


def gradients(model: CrossEncoder, scores: torch.Tensor) -> list[torch.Tensor]:
    scores.square().sum().backward()
    found = [values.grad.clone() for values in model.parameters() if values.grad is not None]
    model.zero_grad()
    return found


@pytest.fixture
def model(pair_base: Path) -> PairModel:
    """A model with room for 64 tokens in a forward pass: for two pairs of 32, or four of 16."""
    model = load(pair_base)
    model.token_budget = 64
    return model


def test_batches_of_similar_length_change_neither_scores_nor_gradients(model: PairModel) -> None:
    features = model.preprocess(PAIRS)
    lengths = features["attention_mask"].sum(dim=1).tolist()
    assert lengths == [6, 30, 9, 27, 6, 24]
    shapes: list[tuple[int, int]] = []
    model[0].register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0]["input_ids"].shape)))
    ours = model.train()(dict(features))["scores"]
    assert shapes == [(2, 30), (1, 30), (3, 16)]
    assert model.num_tokens == sum(lengths)
    got = gradients(model, ours)
    theirs = model.eval()(dict(features))["scores"]  # one padded batch
    assert shapes[3:] == [(6, 30)]
    assert_close(ours, theirs)
    for value, expected in zip(got, gradients(model, theirs), strict=True):
        assert_close(value, expected)


@pytest.mark.parametrize("side", ["right", "left"])
def test_only_padding_is_cut(model: PairModel, side: str) -> None:
    model.tokenizer.padding_side = side
    read: list[int] = []
    model[0].register_forward_pre_hook(lambda _, inputs: read.append(int(inputs[0]["attention_mask"].sum())))
    model.train()(model.preprocess(PAIRS))
    assert read == [57, 24, 21]  # 30 + 27, 24, 6 + 9 + 6


def test_embedding_model_keeps_its_transformer_and_gets_a_head_drawn_by_the_seed(pair_base: Path) -> None:
    first, again, other = (load(pair_base, seed=seed) for seed in (3, 3, 4))
    heads = [model[0].model.classifier.weight for model in (first, again, other)]
    assert heads[0].shape == (1, 32)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    embeddings = [model[0].model.bert.embeddings.word_embeddings.weight for model in (first, other)]
    assert torch.equal(*embeddings)
    assert isinstance(first.activation_fn, torch.nn.Identity)
    assert first.num_labels == 1


def test_lengths_dropout_and_attention_are_set(pair_base: Path) -> None:
    model = load(pair_base, dropout=0.25, attention="sdpa")
    assert model.max_seq_length == 64  # 32 + 32
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.25}
    assert model[0].model.config._attn_implementation == "sdpa"
    assert load(pair_base)[0].model.config._attn_implementation == "eager"
    assert model.dtype == torch.float32


def test_dev_scores_are_those_of_the_saved_model_whatever_its_attention(pair_base: Path, tmp_path: Path) -> None:
    encoding = read_encoding(pair_base)
    model = load(pair_base, attention="eager")
    save_cross_encoder(model, encoding, tmp_path)
    scorers = CrossEncoderScorer.snapshot(model, encoding, COMPUTE), CrossEncoderScorer.load(tmp_path, COMPUTE)
    np.testing.assert_array_equal(*(scorer.score(*zip(*PAIRS, strict=True)) for scorer in scorers))
    kept = scorers[0]._lazy.model[0].model.config._attn_implementation
    assert kept == scorers[1]._lazy.model[0].model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("kind", ["bert", "mpnet", "roberta"])
def test_any_encoder_becomes_a_cross_encoder(kind: str, tiny_model: Path, pair_base: Path, tmp_path: Path) -> None:
    encoding = read_encoding(pair_base)
    save_model(random_encoder(kind, tiny_model, tmp_path / "raw"), encoding, tmp_path)
    model = load(tmp_path)
    assert type(model[0].model).__name__.endswith("ForSequenceClassification")
    assert model.train()(model.preprocess(PAIRS))["scores"].shape == (6, 1)


def test_cross_encoder_keeps_its_head_and_activation(tiny_transformer: Path, pair_base: Path, tmp_path: Path) -> None:
    raw = save_tiny_cross_encoder(tiny_transformer, tmp_path / "raw")
    saved = CrossEncoder(str(raw), device="cpu")
    save_cross_encoder(saved, read_encoding(pair_base), tmp_path / "base")
    model = load(tmp_path / "base").eval()
    assert isinstance(model.activation_fn, torch.nn.Sigmoid)
    assert_close(model.predict(PAIRS, prompt=""), saved.predict(PAIRS, prompt=""))
