"""Train a cross-encoder on mined examples, and write the tuned model and its training history."""

import logging
import shutil
from functools import partial
from pathlib import Path

import numpy as np
from sentence_transformers import CrossEncoder

from retune.core.errors import InputError
from retune.core.files import atomic_directory
from retune.core.records import read_mined
from retune.encoding.hardware import ALL_KERNELS, release_memory, resolve_device, resolve_dtype, tune_memory
from retune.models.directory import load_cross_encoder, read_encoding, save_cross_encoder
from retune.models.encoding_settings import Encoding
from retune.training.arguments import training_arguments
from retune.training.batches.plan import Plan
from retune.training.cross_encoding.losses import PairCollator, make_loss
from retune.training.cross_encoding.model import load_for_training
from retune.training.cross_encoding.reranking import Reranking
from retune.training.cross_encoding.trainer import PairTrainer
from retune.training.dev_scoring import DevEvaluator
from retune.training.history import HistoryRow, dev_scores, write_history
from retune.training.keeping.checkpoints import CHECKPOINTS, newest_checkpoint, scratch_directory, training_key
from retune.training.keeping.keeper import Keeper
from retune.training.keeping.model_card import write_card
from retune.training.keeping.save import KEPT
from retune.training.memory import advice_if_out_of_memory
from retune.training.progress import describe_profile
from retune.training.spec import Task

NUM_PARITY_PAIRS = 16
PARITY = 1e-4  # the largest difference allowed in the scores of the reloaded model
LOG = logging.getLogger(__name__)


def train_cross_encoder(task: Task, out: Path, history: Path) -> None:
    """Write the tuned cross-encoder to `out`, and its loss, learning rate and dev score by step to `history`.

    The base is an encoder or a cross-encoder. A dev score is that of the best documents of `task.guide`, reordered; the
    score beside it is that of the guide's own order. A training that was killed resumes at its last checkpoint and
    writes the same bytes as an undisturbed one.

    Raises:
        InputError: The base cannot be a cross-encoder, the guide is no embedding model, there are no dev queries, too
            few mined negatives, an unknown metric or training argument, a loss that is not finite, or too little
            memory.
    """
    with scratch_directory(out, training_key(task)) as scratch:
        encoding = read_encoding(task.base).model_copy(update={"pooling": "as_saved"})
        mined = read_mined(task.mined)
        plan, reranking = Plan(mined, task.params, seed=task.seed), Reranking(task, encoding, mined)
        rows = _train(task, scratch, encoding, plan, reranking)
        first_stage = reranking.first_stage_score()
        with atomic_directory(out) as written:
            shutil.copytree(scratch / KEPT, written, dirs_exist_ok=True)
            write_card(written, task, rows, name=out.name, note=_note(task, first_stage))
        write_history(rows, history, task.params.dev_metric, base_dev=first_stage)


def _train(task: Task, scratch: Path, encoding: Encoding, plan: Plan, reranking: Reranking) -> list[HistoryRow]:
    """Train, leave the tuned model in the scratch directory, and return the training history."""
    params, device = task.params, resolve_device(task.compute.device)
    tune_memory(device, ALL_KERNELS)
    args = training_arguments(params, scratch / CHECKPOINTS, device, resolve_dtype(encoding.dtype, device), task.seed)
    model = load_for_training(task, encoding, device)
    keep = partial(_keep, encoding=encoding, folder=scratch / KEPT, pairs=_parity_pairs(plan))
    trainer = PairTrainer(
        plan=plan,
        params=params,
        dev_evaluator=DevEvaluator(reranking.score, Keeper(params, scratch, args.device, keep)),
        model=model,
        args=args,
        loss=make_loss(model, params),
        data_collator=PairCollator(plan, params, encoding),
    )
    settings = describe_profile(model, args), params.dropout, task.compute.token_budget, plan.num_batches
    LOG.info("training on %s, dropout %g, %d tokens per forward pass, %d batches per epoch", *settings)
    checkpoint = newest_checkpoint(scratch)
    if checkpoint:
        LOG.info("resuming from %s", checkpoint)
    with advice_if_out_of_memory(lambda: _memory_advice(task, device.type)):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    rows = trainer.history_rows()
    LOG.info("checkpoint: %s; dev %s: %s", params.checkpoint, params.dev_metric, dev_scores(rows))
    release_memory(device)
    return rows


def _keep(
    _: CrossEncoder, scored: CrossEncoder, *, encoding: Encoding, folder: Path, pairs: list[tuple[str, str]]
) -> None:
    """Write a model's directory, and check that the model reloaded by sentence-transformers gives the same scores."""
    with atomic_directory(folder) as partial_folder:
        save_cross_encoder(scored, encoding, partial_folder)
        reloaded = load_cross_encoder(partial_folder, scored.device.type)
        ours, theirs = (model.predict(pairs, show_progress_bar=False) for model in (scored, reloaded))
        difference = float(np.abs(ours - theirs).max())
        if not difference <= PARITY:
            raise InputError(
                f"{folder}: expected the same scores from the tuned model when sentence-transformers reloads it, got "
                f"differences of up to {difference:.1e}; use another base, as this one is not saved completely"
            )


def _parity_pairs(plan: Plan) -> list[tuple[str, str]]:
    queries = [text for text, _ in plan.queries[:NUM_PARITY_PAIRS]]
    return list(zip(queries, plan.documents, strict=False))


def _note(task: Task, first_stage: float) -> str:
    assert task.params.cross_encoder is not None
    return (
        f"These are scores of the best {task.params.cross_encoder.k} documents of `{task.guide.name}` in the order of "
        f"this model; in their own order they score {first_stage:.5f}."
    )


def _memory_advice(task: Task, device: str) -> str:
    params = task.params
    return (
        f"out of memory on {device} with batch_size {params.batch_size} and {params.hard_negatives} hard_negatives; "
        "lower one of them, or the maximum lengths of the base"
    )
