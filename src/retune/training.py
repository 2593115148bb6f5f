"""Fine-tune a model on mined examples and write it, complete, with the history of its training."""

import logging
import shutil
from pathlib import Path

import accelerate
import peft
import torch
from sentence_transformers import SentenceTransformer

from retune.adapters import add_lora
from retune.checkpoints import CHECKPOINTS, hash_inputs, newest_checkpoint, scratch_directory
from retune.dev_scoring import dev_scorer
from retune.errors import InputError
from retune.files import atomic_directory
from retune.fingerprint import machine
from retune.hardware import resolve_device, resolve_dtype
from retune.history import HistoryRow, write_history
from retune.kept_model import keep_model
from retune.losses import RankingLoss
from retune.model_directory import load_model, read_encoding
from retune.records import read_mined
from retune.task import Task
from retune.trainer import Collator, DevEvaluator, Trainer
from retune.training_arguments import training_arguments
from retune.training_plan import Plan

KEPT = "kept"  # in the scratch directory: the model to write
NUM_PARITY_TEXTS = 16
LOG = logging.getLogger(__name__)


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
        return write_history([], history, task.params.dev_metric)
    with scratch_directory(out, _key(task)) as scratch:
        rows = _train(task, scratch)
        with atomic_directory(out) as partial:
            shutil.copytree(scratch / KEPT, partial, dirs_exist_ok=True)
        write_history(rows, history, task.params.dev_metric)


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
    args = training_arguments(params, scratch / CHECKPOINTS, device, dtype, task.seed)
    model = _load_for_training(task, device)
    evaluator = DevEvaluator(
        dev_scorer(task, encoding, mined),
        lambda model, whole: keep_model(model, whole, encoding, scratch / KEPT, plan.documents[:NUM_PARITY_TEXTS]),
        params,
        model,
    )
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
