"""Training with FlagEmbedding: encoders, and decoders that read examples in their context."""

import logging
import shutil
from collections.abc import Callable
from typing import Any

import torch
from FlagEmbedding.abc.finetune.embedder import EmbedderTrainerCallbackForDataRefresh
from transformers import ProgressCallback

from retune.core.errors import InputError
from retune.training.adapters import save_adapter
from retune.training.flagembedding.dataset import make_dataset
from retune.training.flagembedding.requirements import check_requirements
from retune.training.flagembedding.trainer import make_trainer
from retune.training.history import DEV, HistoryRow, dev_scores, read_log
from retune.training.keeping.save import KEPT
from retune.training.memory import advice_if_out_of_memory
from retune.training.prepare import Prepared
from retune.training.progress import describe_profile

ADAPTERS = "adapters"  # the adapters of all epochs, in the scratch directory and in that of the tuned model
LOG = logging.getLogger(__name__)


def train_with_flagembedding(prepared: Prepared) -> list[HistoryRow]:
    """Train a model in place, keep the tuned model in the scratch directory, and return the training history.

    FlagEmbedding provides batches, forward pass and loss. The weights remain those of a sentence-transformers model, so
    dev scores and the saved directory are made as with the other engine.

    Raises:
        InputError: FlagEmbedding cannot train this model on these data, a loss is not finite, or there is too little
            memory.
    """
    check_requirements(prepared)
    scratch, args, params = prepared.scratch, prepared.args, prepared.task.params
    shutil.rmtree(scratch)  # FlagEmbedding cannot resume, as its batches depend on all random numbers drawn before
    dataset = make_dataset(prepared)
    trainer = make_trainer(prepared, dataset)
    trainer.remove_callback(ProgressCallback)
    for callback in (EmbedderTrainerCallbackForDataRefresh(dataset), _Epochs(prepared, trainer.log)):
        trainer.add_callback(callback)
    num_left = len(prepared.plan.query_ids) % params.batch_size
    batches = f"{len(dataset)} full batches per epoch, {num_left} queries left out of each epoch"
    profile = describe_profile(prepared.model, args)
    LOG.info("training by FlagEmbedding on %s, dropout %g, %s", profile, params.dropout, batches)
    with advice_if_out_of_memory(lambda: _memory_advice(prepared)):
        trainer.train()
    if (scratch / ADAPTERS).is_dir():
        shutil.copytree(scratch / ADAPTERS, scratch / KEPT / ADAPTERS)
    return read_log(trainer.state.log_history)


def _memory_advice(prepared: Prepared) -> str:
    params = prepared.task.params
    return (
        f"out of memory on {prepared.args.device} with batch_size {params.batch_size} and {params.hard_negatives} "
        "hard_negatives; lower them or the maximum lengths, or set trainer: {gradient_checkpointing: true}"
    )


class _Epochs(ProgressCallback):
    """Scores the model and saves its adapter after each epoch, shows the loss, and stops if it is not finite."""

    def __init__(self, prepared: Prepared, log: Callable[[dict[str, float]], None]) -> None:
        """Take the trainer's `log`, which tells reporters too."""
        super().__init__()
        self._log = log
        self._prepared = prepared
        self.args = prepared.args

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        epoch, model = round(state.epoch), self._prepared.model
        save_adapter(model, self._prepared.scratch / ADAPTERS / f"epoch_{epoch}")
        earlier = dev_scores(read_log(state.log_history))
        score = self._prepared.dev_evaluator(model, epoch=epoch, step=state.global_step, earlier=earlier)
        self._log({DEV: score})
        LOG.info("step %d of %d: dev %.4f", state.global_step, state.max_steps, score)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" not in logs:
            return
        if self.training_bar is not None:
            self.training_bar.set_postfix(loss=logs["loss"])
        if not torch.isfinite(torch.tensor(float(logs["loss"]))):
            raise InputError(
                f"step {state.global_step}: expected a finite loss, got {float(logs['loss'])}; lower learning_rate or "
                "raise temperature"
            )
