"""The progress of training, on a bar and in the log: loss, speed, time left, memory."""

import logging
import time
from datetime import timedelta
from typing import Any, Protocol

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import ProgressCallback, TrainerCallback, TrainingArguments

from retune.encoding.hardware import describe_device
from retune.training.history import DEV
from retune.training.losses import RankingLoss
from retune.training.memory import peak_gb

LOG = logging.getLogger(__name__)


class TokenCounter(Protocol):
    """Counts the tokens that are encoded in training."""

    num_tokens: int  # so far


def describe_profile(
    model: SentenceTransformer | CrossEncoder, args: TrainingArguments, *, attention: str | None = None
) -> str:
    """Describe the device, number format, attention and data workers; attention defaults to the model's config."""
    config = getattr(getattr(model[0], "model", None), "config", None)
    dtype = "bfloat16" if args.bf16 else "float16" if args.fp16 else "float32"
    attention = attention or getattr(config, "_attn_implementation", "no")
    workers = args.dataloader_num_workers
    return f"{describe_device(args.device)}: {dtype}, {attention} attention, {workers} data workers"


class Progress(ProgressCallback):
    """The trainer's progress bar, with loss, tokens per second and memory beside it instead of a line per step."""

    def __init__(self, counter: TokenCounter, device: torch.device) -> None:
        """Take what counts the tokens, and the device that trains."""
        super().__init__()
        self._counter, self._device = counter, device
        self._num_steps, self._seconds, self._started = 0, 0.0, 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock, which does not run during dev scoring."""
        self._started = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Show the loss of a step; the device has computed it by now."""
        if "loss" not in logs:
            return
        self._num_steps += 1
        self._seconds += time.perf_counter() - self._started
        if state.is_world_process_zero and self.training_bar is not None:
            self.training_bar.set_postfix(loss=logs["loss"], tokens_s=self._speed(), memory_gb=self._memory())

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """Log the progress with each dev score, for logs that do not show a bar."""
        super().on_evaluate(args, state, control, **kwargs)  # type: ignore[no-untyped-call]
        if not self._num_steps:  # resumed at the end of an epoch
            return
        left = timedelta(seconds=round((state.max_steps - state.global_step) * self._seconds / self._num_steps))
        values = state.global_step, state.max_steps, metrics[DEV], left, self._speed(), self._memory()
        LOG.info("step %d of %d: dev %.4f; %s left, %s tokens/s, peak memory %s GB", *values)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the bar, and log speed and memory."""
        super().on_train_end(args, state, control, **kwargs)  # type: ignore[no-untyped-call]
        if self._num_steps:
            values = self._num_steps, self._seconds / self._num_steps, self._speed(), self._memory()
            LOG.info("trained %d steps: %.3g s/step, %s tokens/s, peak memory %s GB", *values)

    def _speed(self) -> str:
        return f"{self._counter.num_tokens / self._seconds:,.0f}"

    def _memory(self) -> str:
        return f"{peak_gb(self._device):.2f}"


class LoneQueries(TrainerCallback):
    """Warns of queries that were compared with nothing but their positive."""

    def __init__(self, loss: RankingLoss) -> None:
        """Take the loss, which counts them."""
        self._loss = loss

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Log how many there were, if there were any."""
        if self._loss.num_alone:
            LOG.warning(
                "%d times a query had no negative in its batch, so its loss was 0; raise batch_size, hard_negatives "
                "or random_negatives",
                int(self._loss.num_alone),
            )
