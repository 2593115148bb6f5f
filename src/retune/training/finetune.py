"""Fine-tune a model on mined examples, and write the tuned model and its training history."""

import logging
import shutil
from contextlib import ExitStack
from pathlib import Path

import accelerate
import peft

from retune.core.errors import InputError
from retune.core.files import atomic_directory
from retune.core.records import read_mined
from retune.encoding.encoder import Encoder
from retune.encoding.fingerprint import machine
from retune.encoding.hardware import ALL_KERNELS, resolve_device, resolve_dtype, tune_memory
from retune.models.directory import read_encoding
from retune.training.arguments import training_arguments
from retune.training.batches.plan import Plan
from retune.training.dev_scoring import dev_scorer
from retune.training.flagembedding import train_with_flagembedding
from retune.training.guide import Guide
from retune.training.history import HistoryRow, write_history
from retune.training.keeping.averaging import RunningMean
from retune.training.keeping.checkpoints import CHECKPOINTS, hash_inputs, newest_checkpoint, scratch_directory
from retune.training.keeping.model_card import CARD, write_card
from retune.training.keeping.save import KEPT, keep_model
from retune.training.load import load_for_training
from retune.training.losses import RankingLoss
from retune.training.memory import is_out_of_memory, memory_advice
from retune.training.packing import PACKED
from retune.training.processes.group import from_main, joined, num_processes, rank, wait
from retune.training.processes.launch import start, to_start
from retune.training.progress import describe_profile
from retune.training.spec import Task
from retune.training.trainer import Collator, DevEvaluator, Trainer

NUM_PARITY_TEXTS = 16
LOG = logging.getLogger(__name__)


def finetune(task: Task, out: Path, history: Path) -> None:
    """Write the tuned model to `out`, and its loss, learning rate and dev score by step to `history`.

    A training that was killed resumes at its last checkpoint and writes the same bytes as an undisturbed one. This
    starts the processes of the training, unless torchrun started this process.

    Raises:
        InputError: There are no dev queries, too few mined negatives, an unknown metric or training argument, a loss
            that is not finite, or too little memory.
    """
    if task.params.method == "none":
        with atomic_directory(out) as partial:
            shutil.copytree(task.base, partial, dirs_exist_ok=True, ignore=shutil.ignore_patterns(CARD))
        return write_history([], history, task.params.dev_metric)
    device = resolve_device(task.compute.device)
    if count := to_start(task.params, device):
        return start(finetune, (task, out, history), count)
    with joined(device), ExitStack() as stack:
        scratch = from_main(lambda: stack.enter_context(scratch_directory(out, _key(task))))
        rows = _train(task, scratch)
        wait()  # other processes may still read checkpoints
        if rank() == 0:
            with atomic_directory(out) as partial:
                shutil.copytree(scratch / KEPT, partial, dirs_exist_ok=True)
                write_card(partial, task, rows, name=out.name)
            write_history(rows, history, task.params.dev_metric)


def _key(task: Task) -> str:
    """Hash everything that determines the bits of the tuned model."""
    state = {
        "params": task.params.model_dump(),
        "token_budget": task.compute.token_budget,
        "seed": task.seed,
        "processes": num_processes(),
        "machine": machine(resolve_device(task.compute.device)),
        "libraries": [peft.__version__, accelerate.__version__],
    }
    dev = [task.dev / "corpus.parquet", task.dev / "dev"]
    guide = [] if task.params.guide_margin is None else [task.guide]
    return hash_inputs([task.base, task.mined, *dev, *guide], state)


def _train(task: Task, scratch: Path) -> list[HistoryRow]:
    """Train, leave the tuned model in `scratch`, and return the training history."""
    params, compute = task.params, task.compute
    device = resolve_device(compute.device)
    tune_memory(device, ALL_KERNELS)  # every step needs all kernels again
    encoding = read_encoding(task.base)
    dtype = resolve_dtype(encoding.dtype, device)
    mined = read_mined(task.mined)
    plan = Plan(mined, params, seed=task.seed)
    if params.guide_margin is not None:
        encoder, margin = Encoder.load(task.guide, compute), params.guide_margin
        plan.guide_by(from_main(lambda: Guide(encoder, plan.queries, plan.documents, margin)))
    args = training_arguments(params, scratch / CHECKPOINTS, device, dtype, task.seed)
    model = load_for_training(task, device, dtype)
    evaluator = DevEvaluator(
        dev_scorer(task, encoding, mined),
        lambda model, whole: keep_model(model, whole, encoding, scratch / KEPT, plan.documents[:NUM_PARITY_TEXTS]),
        params,
        model,
        RunningMean(scratch),
    )
    if params.engine == "flagembedding":
        return train_with_flagembedding(task, plan, model, args, evaluator, scratch)
    loss = RankingLoss(model, params, token_budget=compute.token_budget)
    evaluator.trainer = trainer = Trainer(
        plan=plan,
        params=params,
        model=model,
        args=args,
        loss=loss,
        evaluator=evaluator,
        data_collator=Collator(plan, model.tokenizer, encoding),
    )
    profile = describe_profile(model, args, attention=PACKED if loss.packed_config else None)
    settings = profile, params.dropout, compute.token_budget, plan.num_batches
    LOG.info("training on %s, dropout %g, %d tokens per forward pass, %d batches per epoch", *settings)
    checkpoint = from_main(lambda: newest_checkpoint(scratch))
    if checkpoint:
        LOG.info("resuming from %s", checkpoint)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(memory_advice(model, params, compute.token_budget)) from None
    rows = trainer.history_rows()
    scores = [row.dev for row in rows if row.dev is not None]
    LOG.info("checkpoint: %s; dev %s: %s", params.checkpoint, params.dev_metric, scores)
    return rows
