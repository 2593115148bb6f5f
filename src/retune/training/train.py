"""Train a model as a task describes, in one process or several, and write what comes out."""

import logging
import shutil
from contextlib import ExitStack
from pathlib import Path

from retune.core.files import atomic_directory
from retune.encoding.hardware import release_memory, resolve_device
from retune.training.dev_scoring import base_dev_score
from retune.training.flagembedding.train import train_with_flagembedding
from retune.training.history import HistoryRow, dev_scores, write_history
from retune.training.keeping.checkpoints import newest_checkpoint, scratch_directory, training_key
from retune.training.keeping.model_card import write_card
from retune.training.keeping.save import KEPT
from retune.training.losses import RankingLoss
from retune.training.memory import advice_if_out_of_memory, memory_advice
from retune.training.packed.architectures import PACKED
from retune.training.prepare import Prepared, prepare
from retune.training.processes.group import from_main, joined, rank, wait
from retune.training.processes.launch import start, to_start
from retune.training.progress import describe_profile
from retune.training.scoped import write_tower
from retune.training.spec import Task
from retune.training.trainer import Collator, Trainer

LOG = logging.getLogger(__name__)


def train(task: Task, out: Path, history: Path) -> None:
    """Write the tuned model to `out`, and its loss, learning rate and dev score by step to `history`.

    A training that was killed resumes at its last checkpoint and writes the same bytes as an undisturbed one. This
    starts the processes of the training, unless torchrun started this process.

    Raises:
        InputError: There are no dev queries, too few mined negatives, an unknown metric or training argument, a loss
            that is not finite, or too little memory.
    """
    device = resolve_device(task.compute.device)
    if count := to_start(task.params, device):
        return start(train, (task, out, history), count)
    with joined(device), ExitStack() as stack:
        scratch = from_main(lambda: stack.enter_context(scratch_directory(out, training_key(task))))
        rows = _train(prepare(task, scratch))
        wait()  # other processes may still read checkpoints
        if rank() == 0:
            _finish(task, scratch, rows, out)
            release_memory(device)
            write_history(rows, history, task.params.dev_metric, base_dev=base_dev_score(task))


def _train(prepared: Prepared) -> list[HistoryRow]:
    """Train, leave the tuned model in the scratch directory, and return the training history."""
    if prepared.task.params.engine == "flagembedding":
        return train_with_flagembedding(prepared)
    return _train_with_sentence_transformers(prepared)


def _train_with_sentence_transformers(prepared: Prepared) -> list[HistoryRow]:
    task, model, plan = prepared.task, prepared.model, prepared.plan
    params, token_budget = task.params, task.compute.token_budget
    loss = RankingLoss(model, params, token_budget=token_budget)
    collator = Collator(
        plan, model.tokenizer, prepared.encoding, targets=prepared.targets, base_vectors=prepared.base_vectors
    )
    trainer = Trainer(
        plan=plan,
        params=params,
        dev_evaluator=prepared.dev_evaluator,
        model=model,
        args=prepared.args,
        loss=loss,
        data_collator=collator,
    )
    profile = describe_profile(model, prepared.args, attention=PACKED if loss.packed_config else None)
    settings = profile, params.dropout, token_budget, plan.num_batches
    LOG.info("training on %s, dropout %g, %d tokens per forward pass, %d batches per epoch", *settings)
    checkpoint = from_main(lambda: newest_checkpoint(prepared.scratch))
    if checkpoint:
        LOG.info("resuming from %s", checkpoint)
    with advice_if_out_of_memory(lambda: memory_advice(model, params, token_budget)):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    rows = trainer.history_rows()
    LOG.info("checkpoint: %s; dev %s: %s", params.checkpoint, params.dev_metric, dev_scores(rows))
    return rows


def _finish(task: Task, scratch: Path, rows: list[HistoryRow], out: Path) -> None:
    """Write the tuned model and its card."""
    with atomic_directory(out) as partial:
        if task.params.method == "query_tower" or task.params.teacher_documents:
            write_tower(partial, task, scratch / KEPT)
        else:
            shutil.copytree(scratch / KEPT, partial, dirs_exist_ok=True)
        write_card(partial, task, rows, name=out.name)
