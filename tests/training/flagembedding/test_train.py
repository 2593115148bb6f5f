"""The engine FlagEmbedding: its losses, the model it writes, and what it does not support."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from FlagEmbedding import FlagModel
from peft import PeftModel
from pydantic import ValidationError
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling

from retune.core.errors import InputError
from retune.core.records import write_mined
from retune.encoding.encoder import Encoder
from retune.models.directory import load_model
from retune.training import finetune
from retune.training.keeping.checkpoints import training_key
from tests.support.decoders import fetch_decoder
from tests.support.parameters import COMPUTE
from tests.support.training_task import corpus, mined, params, split, task
from tests.support.trainings import LORA, dev_score, same_bytes, train

ENGINE = {"engine": "flagembedding"}


def with_pooling(base: Path, folder: Path, mode: str) -> Path:
    """Copy a model with another pooling."""
    model = load_model(base, "cpu")
    model[1] = Pooling(model[1].embedding_dimension, pooling_mode=mode)
    shutil.copytree(base, folder)
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


def test_training_learns_and_keeps_the_best_epoch(tiny_model: Path, tmp_path: Path) -> None:
    history = train(tiny_model, tmp_path, epochs=4, **ENGINE)
    assert history["global_step"].tolist() == list(range(1, 13))  # 24 queries, 8 a step, 4 epochs
    assert history["loss"].iloc[-3:].mean() < history["loss"].iloc[:3].mean()
    assert history["lr"].iloc[-1] < history["lr"].iloc[1]
    dev_scores = history["dev_ndcg_at_3"].dropna()
    assert dev_scores.index.tolist() == [2, 5, 8, 11]
    assert dev_score(tmp_path / "model") == pytest.approx(dev_scores.max(), abs=1e-5)


def logits_of_groups(base: Path) -> torch.Tensor:
    """Return the cosines of every query with every other's positive and two negatives, (24, 24, 3)."""
    encoder = Encoder.load(base, COMPUTE)
    queries = torch.from_numpy(encoder.encode_queries(split().queries["text"].tolist(), [None] * 24))
    texts = dict(zip(corpus()["doc_id"], encoder.encode_documents(corpus()["text"].tolist()), strict=True))
    examples = mined().examples
    ids = [[*own, *others] for own, others in zip(examples["positive_ids"], examples["negative_ids"], strict=True)]
    groups = torch.from_numpy(np.array([[texts[doc_id] for doc_id in group] for group in ids]))
    return torch.einsum("qd,pgd->qpg", queries, groups)


@pytest.mark.parametrize("loss", ["in_batch", "alone", "kl"])
def test_first_loss_is_that_of_the_formula(loss: str, tiny_model: Path, tmp_path: Path) -> None:
    changes: dict[str, object] = {"in_batch_negatives": loss == "in_batch"}
    if loss == "kl":
        changes |= {"loss": "kl", "teacher_temperature": 0.25}
    whole = {"batch_size": 24, "hard_negatives": 2, "epochs": 1}  # every query and all negatives: no order, no draw
    history = train(tiny_model, tmp_path, **whole, **changes, **ENGINE)
    cosines = logits_of_groups(tiny_model) / 0.05
    own = cosines[torch.arange(24), torch.arange(24)]  # (24, 3)
    compared = cosines.reshape(24, -1) if loss == "in_batch" else own
    expected = (torch.logsumexp(compared, dim=1) - own[:, 0]).mean()
    if loss == "kl":  # which FlagEmbedding adds to InfoNCE: cross-entropy with the teacher's softmax
        teacher = torch.softmax(torch.tensor([4.0, 2.0, 2.0]), dim=0)  # scores of 1, 0.5 and 0.5, divided by 0.25
        expected -= (torch.log_softmax(own, dim=1) * teacher).sum(dim=1).mean()
    assert history["loss"][0] == pytest.approx(expected.item(), abs=1e-4)


def test_both_engines_have_the_same_loss_on_the_same_batch(tiny_model: Path, tmp_path: Path) -> None:
    whole = {"batch_size": 24, "hard_negatives": 0, "epochs": 1, "matryoshka_dims": [32, 8]}
    ours = train(tiny_model, tmp_path, "ours", **whole)
    theirs = train(tiny_model, tmp_path, "theirs", **whole, **ENGINE)
    assert theirs["loss"][0] == pytest.approx(ours["loss"][0], abs=1e-4)


@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_directory_gives_plain_sentence_transformers_the_vectors_of_flagembedding(
    mode: str, tiny_model: Path, tmp_path: Path
) -> None:
    train(with_pooling(tiny_model, tmp_path / "base", mode), tmp_path, epochs=1, **ENGINE)
    texts = corpus()["text"].tolist()
    model = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    assert model[1].pooling_mode == mode
    theirs = FlagModel(str(tmp_path / "model"), pooling_method=mode, use_fp16=False, devices="cpu").encode(texts)
    assert np.abs(model.encode(texts) - theirs).max() < 1e-5
    assert np.abs(model.encode(texts) - load_model(tmp_path / "base", "cpu").encode(texts)).max() > 1e-2


@pytest.mark.slow
def test_training_writes_the_same_bytes_again_also_after_it_was_killed(tiny_model: Path, tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("second", 3), ("other", 4)):
        if name == "second":  # state of a killed training
            key = training_key(task(tiny_model, tmp_path, seed=seed, dropout=0.1, **ENGINE))
            shutil.copytree(tmp_path / "first", tmp_path / ".second.training" / key[:16] / "kept")
            (tmp_path / ".second.training" / key[:16] / "train.jsonl").write_text("{}")
        train(tiny_model, tmp_path, name, seed=seed, dropout=0.1, **ENGINE)
    same_bytes(tmp_path / "first", tmp_path / "second")
    assert (tmp_path / "first.tsv").read_bytes() == (tmp_path / "second.tsv").read_bytes()
    assert (tmp_path / "first.tsv").read_bytes() != (tmp_path / "other.tsv").read_bytes()


@pytest.mark.slow
def test_adapter_of_every_epoch_is_saved_and_that_of_the_model_kept_beside_it(tiny_model: Path, tmp_path: Path) -> None:
    train(tiny_model, tmp_path, checkpoint=1, **LORA, **ENGINE)
    texts = corpus()["text"].tolist()
    kept = load_model(tmp_path / "model", "cpu").encode(texts)
    for folder, is_kept in (("adapter", True), ("adapters/epoch_1", True), ("adapters/epoch_2", False)):
        model = load_model(tiny_model, "cpu")
        model[0].model = PeftModel.from_pretrained(model[0].model, tmp_path / "model" / folder).merge_and_unload()
        assert (np.abs(model.encode(texts) - kept).max() < 1e-5) == is_kept


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patience": 2}, "patience: expected null with engine flagembedding, got 2"),
        ({"evaluate_steps": 5}, "evaluate_steps: expected null with engine flagembedding"),
        ({"random_negatives": 4}, "random_negatives: expected 0 with engine flagembedding"),
        ({"gradient_caching": True}, "gradient_caching: expected false with engine flagembedding"),
        ({"loss": "margin_mse"}, "loss: expected infonce or kl with engine flagembedding, got margin_mse"),
    ],
)
def test_parameters_that_flagembedding_lacks_are_refused(changes: dict[str, object], message: str) -> None:
    params(**changes)
    with pytest.raises(ValueError, match=message):
        params(**changes, **ENGINE)
    params(**changes, **ENGINE, method="none")


def test_batches_that_flagembedding_cannot_make_are_refused(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, own = task(tiny_model, tmp_path, batch_size=25, **ENGINE), mined()
    ids = [own.examples[name].tolist() for name in ("positive_ids", "negative_ids")]
    answers = [[positives[0], negatives[1]] for positives, negatives in zip(*ids, strict=True)]
    two_each = own.examples.assign(
        positive_ids=answers, positive_scores=[[1.0, 1.0]] * 24, negative_ids=[each[:1] for each in ids[1]],
        negative_scores=[[0.5]] * 24,
    )  # fmt: skip
    write_mined(training.mined, replace(own, examples=two_each))  # 48 pairs
    with pytest.raises(
        InputError, match="batch_size: expected at most 24 with engine flagembedding, the number of queries, got 25"
    ):
        finetune.finetune(training, tmp_path / "model", tmp_path / "model.tsv")
    monkeypatch.setenv("RETUNE_DATA_WORKERS", "1")
    with pytest.raises(InputError, match=r"RETUNE_DATA_WORKERS: expected 0 with engine flagembedding"):
        train(tiny_model, tmp_path, **ENGINE)


def test_model_that_flagembedding_would_use_differently_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    weighted = with_pooling(tiny_model, tmp_path / "weighted", "weightedmean")
    with pytest.raises(
        InputError, match="expected a transformer with pooling by cls, mean, lasttoken, got .*weightedmean"
    ):
        train(weighted, tmp_path, **ENGINE)
    suffixed = tmp_path / "suffixed"
    shutil.copytree(tiny_model, suffixed)
    settings = json.loads((suffixed / "retune.json").read_text())
    (suffixed / "retune.json").write_text(json.dumps(settings | {"query_suffix": " end"}))
    with pytest.raises(
        InputError,
        match="method full with engine flagembedding: expected a base with an empty query_suffix, got ' end'",
    ):
        train(suffixed, tmp_path, **ENGINE)


def test_base_without_a_padding_token_is_refused(
    tiny_transformer: Path, encoding_values: dict[str, object], tmp_path: Path
) -> None:
    base = fetch_decoder("mistral", tiny_transformer, encoding_values | {"pooling": "lasttoken"}, tmp_path / "base")
    path = base / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    assert settings["pad_token"] == settings["eos_token"]  # by fetch
    path.write_text(json.dumps(settings | {"pad_token": None}))
    with pytest.raises(
        InputError, match="expected a tokenizer with a padding token, .*, got none; run the stage fetch"
    ):
        train(base, tmp_path, **ENGINE)


def test_loss_that_is_not_finite_stops_the_training(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="step 1: expected a finite loss, got nan; lower learning_rate or raise temperature"
    ):
        train(tiny_model, tmp_path, temperature=1e-40, **ENGINE)
    assert not (tmp_path / "model").exists()


def test_mixture_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    training = task(tiny_model, tmp_path, **ENGINE)
    weights = pd.DataFrame({"source": ["words"], "weight": [0.5]})
    write_mined(training.mined, replace(mined(), weights=weights))
    with pytest.raises(InputError, match="data: expected a recipe under mine with engine flagembedding"):
        finetune.finetune(training, tmp_path / "model", tmp_path / "model.tsv")


def test_sharding_is_refused() -> None:
    with pytest.raises(ValidationError, match="trainer.fsdp: expected none with engine flagembedding"):
        params(trainer={"fsdp": True}, **ENGINE)
