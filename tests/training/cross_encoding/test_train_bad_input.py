"""Bases, guides and data that cannot make a cross-encoder each get one clear line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding, Transformer

from retune.core.errors import InputError
from retune.core.records import Split, write_mined
from retune.models.directory import load_model, read_encoding, save_cross_encoder, save_model
from retune.training import finetune
from retune.training.cross_encoding.model import PairModel
from retune.training.spec import Task
from tests.support.cross_encoders import save_tiny_cross_encoder
from tests.support.decoders import save_decoder
from tests.support.training_task import mined, split, task
from tests.training.cross_encoding.conftest import CROSS_ENCODER


def run(described: Task) -> None:
    folder = described.mined.parent
    try:
        finetune.finetune(described, folder / "out", folder / "out.tsv")
    finally:
        assert not [*folder.glob("out*"), *folder.glob(".out*")]  # nothing is left


def test_bm25_is_no_base(tmp_path: Path) -> None:
    (tmp_path / "bm25").mkdir()
    (tmp_path / "bm25/bm25.json").write_text(json.dumps({"k1": 1.5, "b": 0.75}))
    with pytest.raises(InputError, match="bm25: expected an embedding model, got BM25, which has no vectors"):
        run(task(tmp_path / "bm25", tmp_path, **CROSS_ENCODER))


def test_static_model_is_no_base(tiny_model: Path, pair_base: Path, tmp_path: Path) -> None:
    tokenizer = load_model(tiny_model, "cpu").tokenizer.backend_tokenizer
    vectors = torch.eye(tokenizer.get_vocab_size(), 32).numpy()
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors)], device="cpu")
    (tmp_path / "static").mkdir()
    save_model(static, read_encoding(tiny_model), tmp_path / "static")
    described = replace(task(tmp_path / "static", tmp_path, **CROSS_ENCODER), guide=pair_base)
    with pytest.raises(InputError, match="static: expected a transformer to train, got a static model; name another"):
        run(described)


@pytest.mark.parametrize("kind", ["qwen2", "mistral"])
def test_decoder_is_no_base(kind: str, tiny_transformer: Path, pair_base: Path, tmp_path: Path) -> None:
    save_decoder(kind, tiny_transformer, tmp_path / "raw")
    modules = [Transformer(str(tmp_path / "raw")), Pooling(32, pooling_mode="lasttoken")]
    model = SentenceTransformer(modules=modules, device="cpu")
    save_model(model, read_encoding(pair_base), tmp_path / "decoder")
    described = replace(task(tmp_path / "decoder", tmp_path, **CROSS_ENCODER), guide=pair_base)
    with pytest.raises(InputError, match="decoder: expected an encoder to make a cross-encoder of, got a decoder"):
        run(described)


def test_cross_encoder_is_no_guide(tiny_transformer: Path, pair_base: Path, tmp_path: Path) -> None:
    raw = save_tiny_cross_encoder(tiny_transformer, tmp_path / "raw")
    save_cross_encoder(CrossEncoder(str(raw), device="cpu"), read_encoding(pair_base), tmp_path / "guide")
    described = replace(task(pair_base, tmp_path, **CROSS_ENCODER), guide=tmp_path / "guide")
    with pytest.raises(InputError, match="guide: expected an embedding model, got a cross-encoder"):
        run(described)


def test_examples_need_mined_negatives(pair_base: Path, tmp_path: Path) -> None:
    described = task(pair_base, tmp_path, **CROSS_ENCODER)
    write_mined(described.mined, mined(num_negatives=0))
    expected = (
        "hard_negatives: expected 1 mined negatives per query, got fewer for 24 of 24 queries, first: 'q0'; lower"
    )
    with pytest.raises(InputError, match=expected):
        run(described)


def test_pair_must_fit_into_the_positions(tiny_model: Path, tmp_path: Path) -> None:
    expected = r"add up to at most the model's 64 positions, as a cross-encoder reads both at once, got 32 \+ 48; fetch"
    with pytest.raises(InputError, match=expected):
        run(task(tiny_model, tmp_path, **CROSS_ENCODER))


def test_dev_queries_are_needed(pair_base: Path, tmp_path: Path) -> None:
    empty = Split(split().queries.iloc[:0], split().qrels.iloc[:0])
    with pytest.raises(InputError, match="expected dev queries, got an empty dev split"):
        run(task(pair_base, tmp_path, dev=empty, **CROSS_ENCODER))


def test_unavailable_attention_is_named(pair_base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^attention: flash_attention_2: .*; use auto$"):
        run(task(pair_base, tmp_path, attention="flash_attention_2", **CROSS_ENCODER))


def test_loss_that_is_not_finite_stops_the_training(
    pair_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = PairModel.forward
    monkeypatch.setattr(
        PairModel, "forward", lambda self, features: {"scores": forward(self, features)["scores"] * torch.nan}
    )
    expected = r"step 1: expected a finite loss, got nan for the queries 'q\d+', .*; lower learning_rate$"
    with pytest.raises(InputError, match=expected):
        run(task(pair_base, tmp_path, **CROSS_ENCODER))
