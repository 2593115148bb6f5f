"""Unsuitable bases, data and arguments each get one clear line; a failed training keeps its last good checkpoint."""

import copy
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding, Transformer
from transformers import BertTokenizerFast, RobertaConfig, RobertaModel

from retune.check.checking import check
from retune.core.errors import InputError
from retune.core.files import sha256
from retune.core.records import Mined
from retune.fetching import fetch
from retune.fetching.checks import check_pooling
from retune.models.directory import load_model, read_encoding, save_model
from retune.params.fetch import Fetch
from retune.training import finetune
from retune.training.batches.plan import Plan
from retune.training.losses import RankingLoss
from retune.training.processes.trainer import TRAINED
from tests.support.decoders import KINDS, save_decoder
from tests.support.training_task import mined, params, task
from tests.support.trainings import LORA, same_bytes, train


def fetch_from(folder: Path, values: dict[str, object], out: Path) -> None:
    weights = next(iter(sorted(folder.glob("*.safetensors"))))
    source = {"source": "path", "path": str(folder), "sha256": sha256(weights)}
    fetch.fetch(Fetch.parse("fetch.x", values | source), out, where="params.yaml: fetch.x")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_decoder_is_not_pooled_over_tokens_that_have_not_seen_the_text(
    kind: str, pooling: str, tiny_transformer: Path, encoding_values: dict[str, object], tmp_path: Path
) -> None:
    save_decoder(kind, tiny_transformer, tmp_path / "decoder")
    expected = f"fetch.x.pooling: expected lasttoken, as a decoder.* got {pooling}; write lasttoken"
    with pytest.raises(InputError, match=expected):
        fetch_from(tmp_path / "decoder", encoding_values | {"pooling": pooling}, tmp_path / "out")
    modules = [Transformer(str(tmp_path / "decoder")), Pooling(32, pooling_mode=pooling)]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(tmp_path / "saved"))
    with pytest.raises(InputError, match=expected):
        fetch_from(tmp_path / "saved", encoding_values | {"pooling": "as_saved"}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("changes", [{}, LORA], ids=["full", "lora"])
def test_static_model_is_not_trained(tiny_model: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    tokenizer = load_model(tiny_model, "cpu").tokenizer.backend_tokenizer
    vectors = torch.eye(tokenizer.get_vocab_size(), 32).numpy()
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors)], device="cpu")
    (tmp_path / "static").mkdir()
    save_model(static, read_encoding(tiny_model), tmp_path / "static")
    with pytest.raises(InputError, match="static: expected a transformer to train, got a static model; name another"):
        finetune.finetune(task(tmp_path / "static", tmp_path, **changes), tmp_path / "out", tmp_path / "out.tsv")


def test_encoder_may_have_any_pooling(tiny_model: Path) -> None:
    for pooling in ("mean", "cls"):
        check_pooling(load_model(tiny_model, "cpu"), pooling, "fetch.x")


def test_tokenizer_without_a_padding_token_gets_its_end_token(
    tiny_transformer: Path, encoding_values: dict[str, object], tmp_path: Path
) -> None:
    save_decoder("mistral", tiny_transformer, tmp_path / "decoder")
    fetch_from(tmp_path / "decoder", encoding_values | {"pooling": "lasttoken"}, tmp_path / "out")
    assert load_model(tmp_path / "out", "cpu").tokenizer.pad_token == "[SEP]"
    path = tmp_path / "decoder/tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token": None}))
    with pytest.raises(InputError, match="expected a tokenizer with a padding or end token, got neither; set one"):
        fetch_from(tmp_path / "decoder", encoding_values | {"pooling": "lasttoken"}, tmp_path / "out")


@pytest.mark.parametrize("place", [".", "whole"])
def test_adapter_without_its_base_is_refused(
    place: str, tiny_model: Path, encoding_values: dict[str, object], tmp_path: Path
) -> None:
    train(tiny_model, tmp_path, **LORA)
    folder = tmp_path / "model/adapter"
    if place == "whole":  # as sentence-transformers saves a model with an adapter in it
        shutil.copytree(folder, tmp_path / "model", dirs_exist_ok=True)
        (tmp_path / "model/model.safetensors").unlink()
        folder = tmp_path / "model"
    with pytest.raises(
        InputError, match="fetch.x: expected a complete model, got a LoRA adapter in .*; merge it into its"
    ):
        fetch_from(folder, encoding_values, tmp_path / "out")


def test_roberta_has_two_positions_less_than_its_config_says(
    tiny_transformer: Path, encoding_values: dict[str, object], tmp_path: Path
) -> None:
    """It counts from the padding's id, 1, so of 66 positions 64 are left."""
    tokenizer = BertTokenizerFast.from_pretrained(tiny_transformer)
    tokenizer.save_pretrained(tmp_path / "roberta")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = RobertaConfig(**sizes, vocab_size=len(tokenizer), max_position_embeddings=66, pad_token_id=1)
    RobertaModel(config).save_pretrained(tmp_path / "roberta")
    with pytest.raises(InputError, match="document_max_length: expected at most the model's 64 positions, got 65"):
        fetch_from(tmp_path / "roberta", encoding_values | {"document_max_length": 65}, tmp_path / "out")
    fetch_from(tmp_path / "roberta", encoding_values | {"document_max_length": 64}, tmp_path / "out")
    long = " ".join(["sum"] * 99)
    assert SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(long).shape == (32,)  # 64 tokens do work


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda examples: examples.iloc[:0], "got 0 queries, 0 of them without one; mine again"),
        (lambda examples: without_positives(examples, 3), "got 24 queries, 1 of them without one, first: 'q3'; mine"),
    ],
)
def test_examples_without_a_positive_are_refused(change: object, found: str) -> None:
    whole = mined()
    examples = Mined(change(whole.examples), whole.queries, whole.documents)
    with pytest.raises(InputError, match=f"expected training queries that all have a positive, {found}"):
        Plan(examples, params(), seed=0)


def without_positives(examples: object, row: int) -> object:
    examples = examples.copy()
    examples.at[row, "positive_ids"], examples.at[row, "positive_scores"] = [], []
    return examples


@pytest.mark.slow
def test_queries_compared_with_nothing_are_counted(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tiny_model, tmp_path, batch_size=23, hard_negatives=0)  # 24 pairs: one is left over, in each of two epochs
    assert "2 times a query had no negative in its batch, so its loss was 0" in caplog.text
    caplog.clear()
    train(tiny_model, tmp_path, batch_size=23, hard_negatives=1)
    assert "no negative" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_training_that_is_no_longer_finite_leaves_its_last_good_checkpoint(
    broken: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETUNE_CHECKPOINT_MINUTES", "1e-9")
    train(tiny_model, tmp_path, "undisturbed")
    training = task(tiny_model, tmp_path)
    forward = RankingLoss.forward
    steps: list[int] = []

    def fail(self: object, *inputs: object) -> torch.Tensor:
        steps.append(1)
        value = forward(self, *inputs)
        if len(steps) < 5:
            return value
        if broken == "loss":
            return value * torch.nan
        value.register_hook(lambda gradient: gradient * torch.nan)
        return value

    expected = (
        "step 5: expected a finite loss, got nan"
        if broken == "loss"
        else "step 5: expected finite weights, got some that are not finite; lower"
    )
    with monkeypatch.context() as patch, pytest.raises(InputError, match=expected):
        patch.setattr(RankingLoss, "forward", fail)
        finetune.finetune(training, tmp_path / "model", tmp_path / "model.tsv")
    checkpoints = sorted(tmp_path.glob(".model.training/*/checkpoints/checkpoint-*"))
    assert checkpoints[-1].name == "checkpoint-4"
    assert all(values.isfinite().all() for values in load_file(checkpoints[-1] / TRAINED).values())
    finetune.finetune(training, tmp_path / "model", tmp_path / "model.tsv")
    same_bytes(tmp_path / "undisturbed", tmp_path / "model")


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ({"learning_rat": 1.0}, "trainer.learning_rat: expected a training argument of transformers, got an"),
        ({"lr_scheduler_type": "wavy"}, "trainer: .*wavy"),
        ({"save_steps": 3}, "trainer.save_steps: expected none, as retune sets or"),
    ],
)
def test_training_arguments_are_checked_before_anything_runs(
    trainer: dict[str, object], message: str, default_params: dict
) -> None:
    changed = copy.deepcopy(default_params)
    changed["finetune"]["minilm_sympy"]["trainer"] = {"gradient_accumulation_steps": 2}
    check(changed)
    changed["finetune"]["minilm_sympy"]["trainer"] = trainer
    with pytest.raises(InputError, match=rf"^params.yaml: finetune.minilm_sympy: {message}[^\n]*$") as raised:
        check(changed)
    assert not re.search("finetune.minilm_science", str(raised.value))
