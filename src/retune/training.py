"""Fine-tune a model on mined examples and write it, complete, with the history of its training."""

import dataclasses
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import accelerate
import numpy as np
import pandas as pd
import peft
import torch
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainingArguments

from retune.adapters import add_lora, save_adapter
from retune.checkpoints import CHECKPOINTS, hash_inputs, newest_checkpoint, scratch_directory
from retune.encoding import Encoder
from retune.errors import InputError
from retune.evaluation import evaluate
from retune.files import atomic_directory, write_text
from retune.fingerprint import machine
from retune.hardware import resolve_device, resolve_dtype
from retune.losses import RankingLoss
from retune.metrics import mean_scores, parse_metric
from retune.model_directory import load_model, read_encoding, save_model
from retune.params.compute import Compute
from retune.params.fetch import Encoding
from retune.params.finetune import Finetune
from retune.records import Mined, document_texts, read_corpus, read_mined, read_split
from retune.seeds import generator
from retune.trainer import Collator, DevEvaluator, HistoryRow, Trainer
from retune.training_plan import Plan

KEPT = "kept"  # in the scratch directory: the model to write
NUM_PARITY_TEXTS = 16
PARITY = 1e-4  # most that a reloaded model's vectors may differ by
REFUSED = {  # of the library's arguments: those that would change batches, checkpoints or what is written
    "auto_find_batch_size", "batch_sampler", "deepspeed", "do_eval", "do_predict", "do_train", "eval_on_start",
    "eval_steps", "fsdp", "fsdp_config", "full_determinism", "greater_is_better", "hub_model_id", "ignore_data_skip",
    "load_best_model_at_end", "metric_for_best_model", "multi_dataset_batch_sampler", "prompts", "push_to_hub",
    "resume_from_checkpoint", "restore_callback_states_from_checkpoint", "router_mapping", "save_only_model",
    "save_steps", "torch_compile",
}  # fmt: skip
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """All that a run depends on.

    Attributes:
        base: The directory of the model it starts from.
        mined: The folder of its training examples.
        dev: The data set whose dev split chooses what is kept, ranked against its corpus.
        params: The run's entry of params.yaml.
        compute: Device and token budget.
        seed: Of batches, negatives drawn and dropout.
    """

    base: Path
    mined: Path
    dev: Path
    params: Finetune
    compute: Compute
    seed: int


def finetune(task: Task, out: Path, history: Path) -> None:
    """Write the fine-tuned model to `out` and its loss, learning rate and dev score by step to `history`.

    A run that was killed is taken up where its last checkpoint was written, and ends with the same bytes.

    Raises:
        InputError: No dev queries, too few mined negatives, an unknown metric or training argument, a loss that is
            not finite, or too little memory.
    """
    if task.params.method == "none":
        with atomic_directory(out) as partial:
            shutil.copytree(task.base, partial, dirs_exist_ok=True)
        return _write_history([], history, task.params.dev_metric)
    with scratch_directory(out, _key(task)) as scratch:
        rows = _train(task, scratch)
        with atomic_directory(out) as partial:
            shutil.copytree(scratch / KEPT, partial, dirs_exist_ok=True)
        _write_history(rows, history, task.params.dev_metric)


def _key(task: Task) -> str:
    """Hash what decides the bits of a run."""
    state = {
        "params": task.params.model_dump(),
        "token_budget": task.compute.token_budget,
        "seed": task.seed,
        "machine": machine(resolve_device(task.compute.device)),
        "libraries": [peft.__version__, accelerate.__version__],
    }
    dev = [task.dev / "corpus.parquet", task.dev / "dev"]
    return hash_inputs([task.base, task.mined, *dev], state)


def _train(task: Task, scratch: Path) -> list[HistoryRow]:
    """Train, leave the model to write in `scratch`, and return what the history tells."""
    params, compute = task.params, task.compute
    device = resolve_device(compute.device)
    encoding = read_encoding(task.base)
    dtype = resolve_dtype(encoding.dtype, device)
    mined = read_mined(task.mined)
    plan = Plan(mined, params, seed=task.seed)
    evaluator = DevEvaluator(
        _scorer(task, encoding, mined),
        lambda model, whole: _keep(model, whole, encoding, scratch / KEPT, plan.documents[:NUM_PARITY_TEXTS]),
        params,
    )
    args = _arguments(params, scratch / CHECKPOINTS, device, dtype, task.seed)
    model = _load_for_training(task, device)
    evaluator.trainer = trainer = Trainer(
        plan=plan,
        params=params,
        model=model,
        args=args,
        loss=RankingLoss(model, params, token_budget=compute.token_budget),
        evaluator=evaluator,
        data_collator=Collator(plan, model.tokenizer, encoding),
    )
    shapes = f"{compute.token_budget} tokens a forward pass, {plan.num_batches} batches an epoch"
    LOG.info("training on %s in %s, dropout %g, %s", device, str(dtype).removeprefix("torch."), params.dropout, shapes)
    checkpoint = newest_checkpoint(scratch)
    if checkpoint:
        LOG.info("going on from %s", checkpoint)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError:
        raise InputError(
            f"out of memory on {device} with batch_size {params.batch_size} and {compute.token_budget} tokens a "
            "forward pass; set gradient_caching: true, take method: lora, or lower compute.token_budget or batch_size"
        ) from None
    rows = trainer.history_rows()
    LOG.info("kept: %s; dev %s: %s", params.keep, params.dev_metric, [row.dev for row in rows if row.dev is not None])
    return rows


def _load_for_training(task: Task, device: torch.device) -> SentenceTransformer:
    """Load the base in float32, with the attention code that trains fastest, dropout and adapter as asked for."""
    params = task.params
    model = load_model(task.base, device.type, attention="eager" if device.type == "cpu" else None).float()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = params.dropout
    if params.method == "lora" and params.lora:
        add_lora(model, params.lora, base=task.base.name, seed=task.seed)
    model.model_card_data.generate_widget_examples = False
    return model


def _scorer(task: Task, encoding: Encoding, mined: Mined) -> Callable[[SentenceTransformer], float]:
    """Return what ranks the dev split with a model as `eval` would."""
    corpus, dev = read_corpus(task.dev), read_split(task.dev, "dev")
    if dev.queries.empty:
        raise InputError("expected dev queries, got an empty dev split; give the data set one (convert.<name>.dev)")
    if task.params.dev_documents is not None:
        judged = corpus["doc_id"].isin(dev.qrels["doc_id"])
        texts = pd.Series(document_texts(corpus), index=corpus.index)  # ids of another data set may be the same
        is_named = judged | texts.isin(document_texts(mined.documents))
        corpus = sample_dev_corpus(corpus, is_named.to_numpy(), task.params.dev_documents, seed=task.seed)
    metric = task.params.dev_metric
    _, k = parse_metric(metric)

    def score(model: SentenceTransformer) -> float:
        encoder = Encoder.snapshot(model, encoding, task.compute)
        return mean_scores(evaluate(encoder, corpus, dev, [k]))[metric]

    return score


def sample_dev_corpus(corpus: pd.DataFrame, is_named: np.ndarray, count: int, *, seed: int) -> pd.DataFrame:
    """Return the documents named and `count` others drawn at random, in the order of the corpus."""
    is_taken = is_named.copy()
    is_taken[generator(seed, "dev documents").permutation(np.flatnonzero(~is_named))[:count]] = True
    return corpus[is_taken].reset_index(drop=True)


def _keep(
    model: SentenceTransformer, whole: SentenceTransformer, encoding: Encoding, folder: Path, texts: list[str]
) -> None:
    """Write a model's directory, and check that plain sentence-transformers gives the same vectors with it."""
    with atomic_directory(folder) as partial:
        save_model(whole, encoding, partial)
        save_adapter(model, partial / "adapter")
        ours, theirs = (
            each.encode_document(texts, normalize_embeddings=True, show_progress_bar=False)
            for each in (whole, load_model(partial, model.device.type))
        )
        difference = float(np.abs(ours - theirs).max())
        if not difference <= PARITY:
            raise InputError(
                f"{partial}: reloaded by sentence-transformers, the trained model gives other vectors: they differ by "
                f"up to {difference:.1e}; its architecture is not saved whole"
            )


def _arguments(
    params: Finetune, folder: Path, device: torch.device, dtype: torch.dtype, seed: int
) -> SentenceTransformerTrainingArguments:
    """Return the library's arguments: those of the run, and those it passes through."""
    own: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": params.epochs,
        "max_steps": -1,
        "per_device_train_batch_size": 1,  # a row is a whole batch
        "learning_rate": params.learning_rate,
        "warmup_steps": params.warmup_ratio,  # below 1 it is a share of all steps
        "weight_decay": params.weight_decay,
        "bf16": dtype is torch.bfloat16,
        "fp16": dtype is torch.float16 and device.type == "cuda",
        "use_cpu": device.type == "cpu",
        "seed": seed,
        "data_seed": seed,
        "eval_strategy": "no",
        "save_strategy": "no",
        "save_total_limit": 2,  # one may be half-written
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would report 0 for a loss that is not finite
        "dataloader_pin_memory": False,
    }
    known = {field.name for field in dataclasses.fields(SentenceTransformerTrainingArguments)}
    for name in params.trainer:
        if name in own or name in REFUSED:
            raise InputError(f"trainer.{name}: set by retune, or without effect; see docs/finetune.md for what sets it")
        if name not in known:
            raise InputError(f"trainer.{name}: expected a training argument of transformers, found none of this name")
    chosen = {"lr_scheduler_type": "linear", "report_to": "none"} | params.trainer
    try:
        args = SentenceTransformerTrainingArguments(**own, **chosen)
    except (TypeError, ValueError) as error:
        raise InputError(f"trainer: {str(error).splitlines()[0]}") from None
    if args.world_size > 1 or args.n_gpu > 1:
        raise InputError("training runs in one process, on one GPU; name it, such as CUDA_VISIBLE_DEVICES=0")
    return args


def _write_history(rows: list[HistoryRow], path: Path, dev_metric: str) -> None:
    """Write a row for each step, with the dev score after it if there is one."""
    steps: dict[int, dict[str, object]] = {}
    for row in rows:
        step = steps.setdefault(row.global_step, {"global_step": row.global_step})
        if row.loss is not None:
            step |= {"loss": f"{row.loss:.5f}", "lr": f"{row.learning_rate:.4e}"}
        else:
            step |= {f"dev_{dev_metric}": row.dev}
    table = pd.DataFrame(list(steps.values()), columns=["global_step", "loss", "lr", f"dev_{dev_metric}"])
    write_text(path, table.to_csv(sep="\t", index=False, lineterminator="\n"))
