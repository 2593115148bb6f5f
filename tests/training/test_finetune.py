"""Training: which model is written, its history, and the same bytes each time, even after a kill."""

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import time
import weakref
from multiprocessing.spawn import get_executable
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from pydantic import ValidationError
from sentence_transformers import SentenceTransformer
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from retune.core.errors import InputError
from retune.core.records import Mined, Split, write_mined
from retune.encoding.encoder import Encoder
from retune.models.directory import load_model
from retune.training import arguments, dev_scoring, finetune
from retune.training.adapters import copy_whole
from retune.training.dev_scoring import evaluate
from retune.training.keeping import keeper, save
from tests.support.parameters import COMPUTE, FINETUNE
from tests.support.repository import REPOSITORY, WORDS
from tests.support.training_task import corpus, mined, params, split, task
from tests.support.trainings import LORA, check_resumed_after_kill, dev_score, same_bytes, scripted, train


@pytest.mark.slow
def test_training_learns_and_keeps_the_best_epoch(tiny_model: Path, tmp_path: Path) -> None:
    history = train(tiny_model, tmp_path, epochs=4)
    assert history.columns.tolist() == ["global_step", "loss", "lr", "dev_ndcg_at_3", "base_ndcg_at_3"]
    assert history["global_step"].tolist() == list(range(1, 13))  # 24 rows, 8 a step, 4 epochs
    assert history["loss"].iloc[-3:].mean() < history["loss"].iloc[:3].mean()
    dev_scores = history["dev_ndcg_at_3"].dropna()
    assert dev_scores.index.tolist() == [2, 5, 8, 11]
    assert dev_score(tmp_path / "model") == pytest.approx(dev_scores.max(), abs=1e-5)
    assert history["base_ndcg_at_3"].dropna().tolist() == pytest.approx([dev_score(tiny_model)] * 4, abs=1e-5)


@pytest.mark.parametrize(
    ("checkpoint", "scores", "kept"),
    [
        ("best", [0.9, 0.5], 0),
        ("best", [0.5, 0.9], 1),
        ("best", [0.5, 0.5], 0),
        ("last", [0.9, 0.5], 1),
        (1, [0.5, 0.9], 0),
    ],
)
def test_model_kept_is_the_first_of_the_best_or_that_named(
    checkpoint: str | int,
    scores: list[float],
    kept: int,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = scripted(monkeypatch, scores)
    history = train(tiny_model, tmp_path, checkpoint=checkpoint)
    assert history["dev_ndcg_at_3"].dropna().tolist() == scores
    assert not torch.equal(weights[0], weights[1])
    assert torch.equal(next(iter(load_model(tmp_path / "model", "cpu").parameters())), weights[kept])


def test_dev_scores_by_steps_and_after_each_epoch(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.1, 0.2, 0.3, 0.4])
    history = train(tiny_model, tmp_path, evaluate_steps=2)
    assert history["global_step"][history["dev_ndcg_at_3"].notna()].tolist() == [2, 3, 4, 6]


def test_copies_made_for_dev_scores_do_not_pile_up(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[weakref.ref[SentenceTransformer]] = []
    alive = []

    def copied(model: SentenceTransformer) -> SentenceTransformer:
        alive.append(sum(copy() is not None for copy in copies))
        whole = copy_whole(model)
        copies.append(weakref.ref(whole))
        return whole

    monkeypatch.setattr(keeper, "copy_whole", copied)
    gc.disable()  # as good as: large models are few objects, so that it seldom looks for them
    try:
        train(tiny_model, tmp_path, epochs=4)
    finally:
        gc.enable()
    assert alive == [0, 0, 0, 0]


def test_dev_corpus_has_the_documents_needed_and_some_at_random() -> None:
    documents = corpus()
    is_named = documents["doc_id"].isin(["d3", "d20"]).to_numpy()
    drawn, others = (dev_scoring.sample_dev_corpus(documents, is_named, 5, seed=seed) for seed in (1, 2))
    assert len(drawn) == 7
    assert {"d3", "d20"} <= set(drawn["doc_id"])
    assert drawn["doc_id"].tolist() == [doc_id for doc_id in documents["doc_id"] if doc_id in set(drawn["doc_id"])]
    assert drawn["doc_id"].tolist() != others["doc_id"].tolist()
    assert len(dev_scoring.sample_dev_corpus(documents, is_named, 99, seed=1)) == len(documents)


def test_dev_score_ranks_no_more_documents_than_asked_for(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    monkeypatch.setattr(
        dev_scoring,
        "evaluate",
        lambda encoder, corpus, *rest, **options: (
            sizes.append(len(corpus)) or evaluate(encoder, corpus, *rest, **options)
        ),
    )
    few = Split(split().queries.iloc[:2], split().qrels.iloc[:2])
    training = task(tiny_model, tmp_path, dev=few, dev_documents=3, hard_negatives=0, batch_size=4)
    examples = mined()
    write_mined(training.mined, Mined(examples.examples[:4], examples.queries[:4], examples.documents[:8]))
    finetune.finetune(training, tmp_path / "model", tmp_path / "model.tsv")
    assert sizes == [8 + 3] * 3  # two epochs, and the base


def test_training_stops_after_as_many_dev_scores_without_a_new_best_as_patience_says(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = scripted(monkeypatch, [0.1, 0.3, 0.2, 0.3])
    history = train(tiny_model, tmp_path, epochs=9, patience=2)
    assert history["dev_ndcg_at_3"].dropna().tolist() == [0.1, 0.3, 0.2, 0.3]
    assert torch.equal(next(iter(load_model(tmp_path / "model", "cpu").parameters())), weights[1])


def test_early_stopping_within_an_epoch_scores_once(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.3, 0.2])
    history = train(tiny_model, tmp_path, evaluate_steps=1, patience=1)
    assert history["dev_ndcg_at_3"].tolist() == [0.3, 0.2]  # two steps of an epoch of three


@pytest.mark.parametrize("options", [{"checkpoint": 3}, {"checkpoint": 1, "patience": 1}])
def test_checkpoint_of_an_epoch_that_may_not_come_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="checkpoint: expected best, last, or .only without patience. an epoch"):
        params(**options)


@pytest.mark.slow
def test_training_in_bfloat16_writes_the_model_it_scored(tiny_model: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    settings = json.loads((base / "retune.json").read_text())
    (base / "retune.json").write_text(json.dumps(settings | {"dtype": "bfloat16"}))
    for changes in ({}, LORA):
        history = train(base, tmp_path, **changes)
        assert dev_score(tmp_path / "model") == pytest.approx(history["dev_ndcg_at_3"].max(), abs=1e-5)


@pytest.mark.slow
def test_training_writes_the_same_bytes_again_and_others_with_another_seed(tiny_model: Path, tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("second", 3), ("other", 4)):
        train(tiny_model, tmp_path, name, seed=seed, dropout=0.1)
    same_bytes(tmp_path / "first", tmp_path / "second")
    assert (tmp_path / "first.tsv").read_bytes() == (tmp_path / "second.tsv").read_bytes()
    weights = "model.safetensors"
    assert (tmp_path / "first" / weights).read_bytes() != (tmp_path / "other" / weights).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "changes"),
    [(1, {}), (2, {}), (3, {}), (4, {}), (6, {}), (3, {"trainer": {"gradient_accumulation_steps": 2}})],
)
def test_killed_training_resumes_with_the_same_bytes(
    step: int, changes: dict[str, object], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_resumed_after_kill(step, tiny_model, tmp_path, monkeypatch, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, LORA])
def test_training_killed_by_a_signal_resumes_with_the_same_bytes(
    changes: dict[str, object],
    tiny_model: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    forks: None,
) -> None:
    monkeypatch.setenv("RETUNE_CHECKPOINT_MINUTES", "1e-9")
    options = {"epochs": 20, **changes}
    train(tiny_model, tmp_path, "undisturbed", **options)
    code = (
        f"import sys; sys.path[:0] = {[str(REPOSITORY), str(REPOSITORY / 'src')]!r}\n"
        "from pathlib import Path; from tests.support.trainings import train\n"
        f"train(Path({str(tiny_model)!r}), Path({str(tmp_path)!r}), **{options!r})"
    )
    command = [get_executable(), "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".model.training/*/checkpoints/checkpoint-2*")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()  # until a fork has ended too
    assert not (tmp_path / "model").exists()
    caplog.set_level("INFO", "retune")
    train(tiny_model, tmp_path, **options)
    assert "resuming from" in caplog.text
    same_bytes(tmp_path / "undisturbed", tmp_path / "model")


def test_tuned_directory_gives_plain_sentence_transformers_the_same_vectors(tiny_model: Path, tmp_path: Path) -> None:
    train(tiny_model, tmp_path)
    texts = corpus()["text"].tolist()
    ours = Encoder.load(tmp_path / "model", COMPUTE).encode_documents(texts)
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu").encode_document(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_tuned_model_that_gives_other_vectors_when_reloaded_is_refused(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = save.load_model

    def load_base_always(folder: Path, *args: object, **options: object) -> SentenceTransformer:
        return load(tiny_model, *args, **options)

    monkeypatch.setattr(save, "load_model", load_base_always)
    with pytest.raises(InputError, match="expected the same vectors from the tuned model .*, got differences of up to"):
        finetune.finetune(task(tiny_model, tmp_path), tmp_path / "model", tmp_path / "model.tsv")
    assert not (tmp_path / "model").exists()


def test_method_none_copies_the_base(tiny_model: Path, tmp_path: Path) -> None:
    train(tiny_model, tmp_path, method="none")
    names = sorted(path.relative_to(tiny_model) for path in tiny_model.rglob("*") if path.is_file())
    assert names
    for name in names:
        assert (tmp_path / "model" / name).read_bytes() == (tiny_model / name).read_bytes()
    assert (tmp_path / "model.tsv").read_text() == "global_step\tloss\tlr\tdev_ndcg_at_3\tbase_ndcg_at_3\n"


def test_loss_that_is_not_finite_is_an_error_with_step_and_queries_and_changes_no_output(
    tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/old").write_text("old")
    with pytest.raises(
        InputError,
        match=r"step 2: expected a finite loss, got (nan|inf) for the queries 'q\d+', .*; lower learning_rate or",
    ):
        finetune.finetune(
            task(tiny_model, tmp_path, learning_rate=1e30, warmup_ratio=0.0), tmp_path / "model", tmp_path / "h.tsv"
        )
    assert (tmp_path / "model/old").read_text() == "old"
    assert not (tmp_path / "h.tsv").exists()
    assert not (tmp_path / ".model.training").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"learning_rate": 1.0},
            "trainer.learning_rate: expected none, as retune sets or excludes this argument; see docs",
        ),
        ({"ignore_data_skip": True}, "trainer.ignore_data_skip: expected none, as retune sets or excludes"),
        ({"learning_rat": 1.0}, "trainer.learning_rat: expected a training argument of transformers, got an"),
        ({"lr_scheduler_type": "wavy"}, "trainer: .*wavy"),
    ],
)
def test_wrong_training_argument_is_refused(
    options: dict[str, object], message: str, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        train(tiny_model, tmp_path, trainer=options)


@pytest.mark.slow
def test_lora_writes_the_merged_model_and_the_adapter_beside_it(tiny_model: Path, tmp_path: Path) -> None:
    history = train(tiny_model, tmp_path, **LORA, epochs=4)
    assert dev_score(tmp_path / "model") == pytest.approx(history["dev_ndcg_at_3"].max(), abs=1e-5)
    adapter = tmp_path / "model/adapter"
    assert sorted(path.name for path in adapter.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == tiny_model.name
    assert str(tmp_path) not in (adapter / "adapter_config.json").read_text()
    base = load_model(tiny_model, "cpu")
    merged = PeftModel.from_pretrained(base[0].model, str(adapter)).merge_and_unload().state_dict()
    whole = load_model(tmp_path / "model", "cpu")[0].model.state_dict()
    changed = [name for name, values in load_model(tiny_model, "cpu")[0].model.state_dict().items()
               if not torch.equal(values, whole[name])]  # fmt: skip
    assert len(changed) == 4  # query and value of two layers
    for name, values in merged.items():
        torch.testing.assert_close(values, whole[name])


@pytest.mark.slow
def test_killed_lora_training_resumes_with_the_same_bytes(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_resumed_after_kill(4, tiny_model, tmp_path, monkeypatch, **LORA)


def test_unknown_target_modules_are_an_error_that_lists_the_known_ones(tiny_model: Path, tmp_path: Path) -> None:
    lora = LORA["lora"] | {"target_modules": ["query", "q_proj"]}
    with pytest.raises(InputError, match="lora.target_modules: expected .*\\(dense, key, query, value\\), got q_proj"):
        train(tiny_model, tmp_path, method="lora", lora=lora)


def test_training_arguments_pass_through(tiny_model: Path, tmp_path: Path) -> None:
    history = train(tiny_model, tmp_path, trainer={"lr_scheduler_type": "constant", "gradient_accumulation_steps": 3})
    assert history["global_step"].tolist() == [1, 2]
    assert history["lr"].tolist() == [FINETUNE["learning_rate"]] * 2


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"warmup_step": 3}, "trainer.warmup_step: expected a training argument of transformers, got an"),
        ({"eval_steps": 5}, "trainer.eval_steps: expected none, as retune sets or"),
        ({"lr_scheduler_type": "steep"}, "trainer: .*steep"),
    ],
)
def test_training_argument_that_retune_sets_or_does_not_know_is_refused(
    argument: dict[str, object], message: str, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        train(tiny_model, tmp_path, trainer=argument)


def test_reporter_that_is_not_installed_is_named(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "get_available_reporting_integrations", lambda: ["mlflow"])
    monkeypatch.setenv("RETUNE_REPORT_TO", "mlflow,wandb")
    with pytest.raises(InputError, match=r"RETUNE_REPORT_TO: expected installed integrations \(mlflow\), got wandb"):
        train(tiny_model, tmp_path)


@pytest.mark.parametrize("engine", ["sentence_transformers", "flagembedding"])
def test_reporter_gets_losses_and_dev_scores(
    engine: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[dict[str, float]] = []

    class Reporter(TrainerCallback):
        def on_log(self, *args: object, logs: dict[str, float], **kwargs: object) -> None:
            reported.append(logs)

    monkeypatch.setattr(arguments, "get_available_reporting_integrations", lambda: ["mlflow"])
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "mlflow", Reporter)
    monkeypatch.setenv("RETUNE_REPORT_TO", "mlflow")
    history = train(tiny_model, tmp_path, engine=engine)
    assert [log["loss"] for log in reported if "loss" in log] == pytest.approx(history["loss"].tolist(), abs=1e-5)
    assert [log["eval_dev"] for log in reported if "eval_dev" in log] == history["dev_ndcg_at_3"].dropna().tolist()


def test_log_shows_progress_with_each_dev_score(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "retune")
    history = train(tiny_model, tmp_path)
    lines = [line for line in caplog.messages if line.startswith("step ")]
    assert len(lines) == 2
    for line, dev, step in zip(lines, history["dev_ndcg_at_3"].dropna(), (3, 6), strict=True):
        assert line.startswith(f"step {step} of 6: dev {dev:.4f}; 0:00:")
        assert re.search(r" left, [\d,]+ tokens/s, peak memory [\d.]+ GB$", line)


def test_empty_dev_split_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    empty = Split(split().queries.iloc[:0], split().qrels.iloc[:0])
    with pytest.raises(InputError, match="expected dev queries, got an empty dev split"):
        train(tiny_model, tmp_path, dev=empty)


def test_tuned_model_that_loses_the_query_prompt_when_reloaded_is_refused(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = save.load_model

    def load_with_prompt(folder: Path, *args: object, **options: object) -> SentenceTransformer:
        model = load(folder, *args, **options)
        model.prompts = {"query": f"{WORDS[0]} {WORDS[1]} ", "document": ""}
        return model

    monkeypatch.setattr(save, "load_model", load_with_prompt)
    with pytest.raises(InputError, match="expected the same vectors from the tuned model .*, got differences of up to"):
        finetune.finetune(task(tiny_model, tmp_path), tmp_path / "model", tmp_path / "model.tsv")


def test_matryoshka_dimensions_above_those_of_the_model_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="matryoshka_dims: expected at most the model's 32 dimensions, got 64"):
        train(tiny_model, tmp_path, matryoshka_dims=[32, 64])


@pytest.mark.parametrize("changes", [{"loss": "kl", "teacher_temperature": 1.0}, {"loss": "margin_mse"}])
def test_random_negatives_that_a_loss_does_not_read_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="random_negatives: expected 0 with loss"):
        params(random_negatives=4, **changes)
