"""Fine-tune a model on mined examples, keeping the epoch that ranks the dev split best."""

import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from transformers import ProgressCallback, TrainerCallback

from retune.batches import DistinctBatchSampler
from retune.encoding import Encoder, query_inputs
from retune.errors import InputError
from retune.evaluation import evaluate
from retune.files import atomic_directory, write_text
from retune.hardware import resolve_device, resolve_dtype
from retune.losses import TokenBatchedInfoNCE
from retune.metrics import mean_scores, parse_metric
from retune.model_directory import load_model, read_encoding, save_model
from retune.params.compute import Compute
from retune.params.fetch import Encoding
from retune.params.finetune import Finetune
from retune.records import Mined, Split, document_texts
from retune.seeds import generator
from retune.tokenizing import pad

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """All that a run depends on.

    Attributes:
        base: The directory of the model it starts from.
        mined: Training examples.
        corpus: Documents the dev queries are ranked against after every epoch.
        dev: The queries whose score chooses the epoch kept.
        params: The run's entry of params.yaml.
        compute: Device and token budget.
        seed: Of batches, negatives drawn and dropout.
    """

    base: Path
    mined: Mined
    corpus: pd.DataFrame
    dev: Split
    params: Finetune
    compute: Compute
    seed: int


def finetune(task: Task, out: Path, history: Path) -> None:
    """Write the fine-tuned model to `out` and its loss, learning rate and dev score by step to `history`.

    Raises:
        InputError: No dev queries, too few mined negatives, an unknown metric, or a loss that is not finite.
    """
    with atomic_directory(out) as partial:
        rows: list[dict[str, Any]] = []
        if task.params.method == "none":
            shutil.copytree(task.base, partial, dirs_exist_ok=True)
        else:
            rows = _train(task, partial)
        columns = ["global_step", "loss", "lr", f"dev_{task.params.dev_metric}"]
        write_text(history, pd.DataFrame(rows, columns=columns).to_csv(sep="\t", index=False, lineterminator="\n"))


def training_rows(mined: Mined, encoding: Encoding, *, hard_negatives: int, seed: int) -> Dataset:
    """Return one row per query and positive: `anchor`, `positive`, `negative_1`, ...

    Negatives are drawn from the query's mined ones by a generator of its own. Anchors hold prompt and
    prefix, documents are as in the corpus.

    Raises:
        InputError: A query has fewer mined negatives than asked for.
    """
    counts = mined.examples["negative_ids"].str.len()
    if (short := counts < hard_negatives).any():
        first = mined.examples["query_id"][short].iloc[0]
        raise InputError(
            f"hard_negatives: expected {hard_negatives} mined negatives a query, {int(short.sum())} of {len(counts)} "
            f"have fewer, first: {first!r}; lower hard_negatives or mine more"
        )
    documents = dict(zip(mined.documents["doc_id"], document_texts(mined.documents), strict=True))
    inputs = query_inputs(mined.queries["text"].tolist(), mined.queries["prompt"].tolist(), encoding)
    anchors = dict(zip(mined.queries["query_id"], inputs, strict=True))
    rows = []
    for query_id, positive_ids, negative_ids in mined.examples[["query_id", "positive_ids", "negative_ids"]].to_numpy():
        drawn = generator(seed, query_id).permutation(negative_ids)[:hard_negatives]
        negatives = {f"negative_{number}": documents[doc_id] for number, doc_id in enumerate(drawn, start=1)}
        rows += [{"anchor": anchors[query_id], "positive": documents[doc_id], **negatives} for doc_id in positive_ids]
    return Dataset.from_list(rows)


def _train(task: Task, out: Path) -> list[dict[str, Any]]:
    """Train, leave the best epoch's model in `out` and return the history's rows."""
    params, compute = task.params, task.compute
    device = resolve_device(compute.device)
    encoding = read_encoding(task.base)
    model = load_model(task.base, device.type, attention="eager" if device.type == "cpu" else None).float()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = params.dropout
    model.model_card_data.generate_widget_examples = False
    evaluator = _DevEvaluator(task, encoding, out)
    history = _History(f"dev_{params.dev_metric}")
    with tempfile.TemporaryDirectory() as scratch:
        rows = training_rows(task.mined, encoding, hard_negatives=params.hard_negatives, seed=task.seed)
        trainer = _Trainer(
            model=model,
            args=_arguments(params, scratch, device, resolve_dtype(encoding.dtype, device), task.seed),
            train_dataset=rows,
            loss=TokenBatchedInfoNCE(model, temperature=params.temperature, token_budget=compute.token_budget),
            evaluator=evaluator,
            data_collator=_Collator(Encoder(model, encoding, compute)),
            callbacks=[history],
        )
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(_Progress())
        trainer.train()
    LOG.info("kept the epoch with dev %s %.5f of %s", params.dev_metric, evaluator.best, evaluator.scores)
    return history.rows


def _arguments(
    params: Finetune, scratch: str, device: torch.device, dtype: torch.dtype, seed: int
) -> SentenceTransformerTrainingArguments:
    return SentenceTransformerTrainingArguments(
        output_dir=scratch,
        num_train_epochs=params.epochs,
        per_device_train_batch_size=params.batch_size,
        learning_rate=params.learning_rate,
        warmup_steps=params.warmup_ratio,  # below 1 it is a share of all steps
        weight_decay=params.weight_decay,
        lr_scheduler_type="linear",
        bf16=dtype is torch.bfloat16,
        fp16=dtype is torch.float16 and device.type == "cuda",
        use_cpu=device.type == "cpu",
        seed=seed,
        data_seed=seed,
        eval_strategy="epoch",
        save_strategy="no",
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would report 0 for a loss that is not finite
        report_to="none",
        dataloader_pin_memory=False,
    )


class _Trainer(SentenceTransformerTrainer):
    """The library's trainer with batches that hold no false negatives and lose no row."""

    def get_batch_sampler(self, dataset: Any, batch_size: int, *args: Any, **kwargs: Any) -> DistinctBatchSampler:
        rows = dataset.to_list()
        positives: dict[str, set[str]] = {}
        for row in rows:
            positives.setdefault(row["anchor"], set()).add(row["positive"])
        return DistinctBatchSampler(rows, positives, batch_size, self.args.seed)


class _Collator(SentenceTransformerDataCollator):
    """Tokenises a batch exactly as the encoder does; the trainer names features `<column>_<feature>`."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(preprocess_fn=encoder.tokenize_documents, valid_label_columns=[])
        self.encoder = encoder

    def __call__(self, rows: list[dict[str, str]]) -> dict[str, torch.Tensor]:
        batch = {}
        for column in rows[0]:
            texts = [row[column] for row in rows]
            is_query = column == "anchor"
            ids = self.encoder.tokenize_queries(texts) if is_query else self.encoder.tokenize_documents(texts)
            for name, values in pad(self.encoder.tokenizer, ids, max(map(len, ids)), torch.device("cpu")).items():
                batch[f"{column}_{name}"] = values
        return batch


class _DevEvaluator(BaseEvaluator):
    """Ranks the dev split with the encoder of `eval` and saves the model whenever it is the best so far."""

    def __init__(self, task: Task, encoding: Encoding, out: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if task.dev.queries.empty:
            raise InputError("expected dev queries, got an empty dev split; give the data set one (convert.<name>.dev)")
        self.task, self.encoding, self.out = task, encoding, out
        self.metric = task.params.dev_metric
        self.scores: list[float] = []
        self.best = float("-inf")

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        encoder = Encoder.snapshot(model, self.encoding, self.task.compute)
        _, k = parse_metric(self.metric)
        score = mean_scores(evaluate(encoder, self.task.corpus, self.task.dev, [k]))[self.metric]
        self.scores.append(score)
        if score > self.best:
            self.best = score
            save_model(model, self.encoding, self.out)
        return {f"dev_{self.metric}": score}


class _History(TrainerCallback):
    """Collects the history's rows and stops a run whose loss is not finite."""

    def __init__(self, dev_column: str) -> None:
        self.rows: list[dict[str, Any]] = []
        self.dev_column = dev_column

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" in logs:
            loss = float(logs["loss"])
            if not torch.isfinite(torch.tensor(loss)):
                raise InputError(f"step {state.global_step}: loss is {loss}; lower learning_rate or raise temperature")
            self.rows.append(
                {"global_step": state.global_step, "loss": f"{loss:.5f}", "lr": f"{logs['learning_rate']:.4e}"}
            )
        elif f"eval_{self.dev_column}" in logs:
            self.rows[-1][self.dev_column] = logs[f"eval_{self.dev_column}"]


class _Progress(ProgressCallback):
    """The trainer's progress bar with the loss beside it instead of a line per step."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and self.training_bar is not None and "loss" in logs:
            self.training_bar.set_postfix(loss=logs["loss"])
