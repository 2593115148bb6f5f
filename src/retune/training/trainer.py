"""The trainer of sentence-transformers with retune's batches, loss, dev scores, early stopping and checkpoints."""

import logging
import time
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import BatchSampler, SequentialSampler
from transformers import ProgressCallback, TrainerCallback

from retune.core.errors import InputError
from retune.core.local_settings import read_local_settings
from retune.encoding.encoder import query_inputs
from retune.encoding.tokenizing import Tokenizer, pad
from retune.models.encoding_settings import Encoding
from retune.params.finetune import Finetune
from retune.training.anchors import Anchors
from retune.training.batches.plan import Plan
from retune.training.dev_scoring import DevEvaluator
from retune.training.history import DEV, HistoryRow, dev_scores, read_log
from retune.training.keeping.averaging import DecayToBase, RestartFromBase
from retune.training.processes.group import from_main
from retune.training.processes.trainer import REMEDY, ProcessTrainer
from retune.training.progress import LoneQueries, Progress
from retune.training.teacher import Teacher
from retune.training.towers import BaseVectors

LOG = logging.getLogger(__name__)
CPU = torch.device("cpu")
SHOWN = 5  # ids in a message


class Trainer(ProcessTrainer):
    """Trains on the batches of a plan; each row of its data set is the number of a batch."""

    def __init__(self, *, plan: Plan, params: Finetune, dev_evaluator: DevEvaluator[Any], **options: Any) -> None:
        """Take the plan, and the options of the library's trainer except its data and evaluator."""
        numbers = Dataset.from_dict({"batch": list(range(params.all_epochs * plan.num_batches))})
        super().__init__(params, train_dataset=numbers, **options)
        self._num_batches, self._dev_evaluator = plan.num_batches, dev_evaluator
        self.remove_callback(ProgressCallback)
        loss, device = options["loss"], options["args"].device
        for callback in (Progress(loss, device), LoneQueries(loss), StopIfNotFinite(plan, REMEDY), Schedule(params)):
            self.add_callback(callback)
        if params.l2_sp:
            self.add_callback(DecayToBase(options["model"], params.l2_sp))
        self._num_models = params.averages.models
        if self._num_models > 1:
            self._restart = RestartFromBase(options["model"], self._num_models)
            self.add_callback(self._restart)

    def get_batch_sampler(self, *args: Any, **kwargs: Any) -> "EpochSampler":
        """Return the sampler of batch numbers; the library passes arguments that are not needed."""
        return EpochSampler(self._num_batches)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LRScheduler:
        """Return the learning rate schedule; with a soup, it covers the steps of one model."""
        scheduler = super().create_scheduler(num_training_steps // self._num_models, optimizer)
        if self._num_models > 1:
            self._restart.remember(cast(Optimizer, self.optimizer), scheduler)
        return scheduler

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Score the model in the main process, while the others wait."""
        model = self.whole_model()
        metrics = {DEV: from_main(lambda: self._dev_score(model))}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _dev_score(self, model: Any) -> float:
        """Return the dev score of the model with all of its weights; the main process only."""
        epoch, earlier = self.state.epoch, dev_scores(self.history_rows())
        return self._dev_evaluator(model, epoch=epoch, step=self.state.global_step, earlier=earlier)

    def history_rows(self) -> list[HistoryRow]:
        """Return all steps and dev scores so far, including those from before resuming."""
        return read_log(self.state.log_history)


class Collator(SentenceTransformerDataCollator):
    """Turns a batch into tensors; texts are tokenised once, exactly as the encoder does it."""

    def __init__(
        self,
        plan: Plan,
        tokenizer: Any,
        encoding: Encoding,
        *,
        targets: Anchors | Teacher | None = None,
        base_vectors: BaseVectors | None = None,
    ) -> None:
        """Tokenise all texts of the plan.

        Args:
            plan: The batches.
            tokenizer: The model's tokenizer.
            encoding: The encoding settings of the base.
            targets: The vectors that some texts are to keep, or that all are to learn.
            base_vectors: The vectors of the documents, which then are not encoded, and perhaps of the queries.
        """
        super().__init__(preprocess_fn=list, valid_label_columns=[])
        self._plan, self._targets, self._base_vectors = plan, targets, base_vectors
        encoding_tokenizer = Tokenizer(tokenizer, encoding)
        texts, prompts = zip(*plan.queries, strict=True)
        queries, _ = encoding_tokenizer.tokenize(query_inputs(texts, prompts, encoding), "queries")
        document_inputs = [encoding.document_prefix + text for text in plan.documents]
        documents, _ = encoding_tokenizer.tokenize(document_inputs, "documents")
        for role, token_ids, given in (("query", queries, texts), ("document", documents, plan.documents)):
            if not all(token_ids):
                empty = given[next(row for row, ids in enumerate(token_ids) if not ids)]
                raise InputError(
                    f"training: expected texts with tokens, got a {role} without any, {empty!r}; remove it"
                )
        self._queries = [np.array(ids, np.int32) for ids in queries]
        self._documents = None if base_vectors else [np.array(ids, np.int32) for ids in documents]
        self._tokenizer = encoding_tokenizer.plain

    def __call__(self, rows: list[dict[str, int]]) -> dict[str, Any]:
        """Return `<column>_<feature>` for the trainer and `label` for the loss."""
        batch = self._plan.batch(rows[0]["batch"])
        inputs: dict[str, Any] = {}
        for column, all_ids, positions in (
            ("query", self._queries, batch.queries),
            ("document", self._documents, batch.documents),
        ):
            if all_ids is None:
                continue
            ids = [all_ids[position] for position in positions.tolist()]
            for name, values in pad(self._tokenizer, ids, max(map(len, ids)), CPU).items():
                inputs[f"{column}_{name}"] = values
        inputs["label"] = {
            "is_compared": torch.from_numpy(batch.is_compared),
            "groups": torch.from_numpy(batch.groups),
            "scores": torch.from_numpy(batch.scores),
        }
        if self._base_vectors:
            given = self._base_vectors.of(batch)
            inputs["label"] |= {name: torch.from_numpy(vectors) for name, vectors in given.items()}
        if self._targets and self._targets.has(batch):
            inputs["label"]["targets"] = torch.from_numpy(self._targets.of(batch))
        return inputs


class EpochSampler(BatchSampler):
    """Yields the numbers of an epoch's batches, one by one."""

    def __init__(self, num_batches: int) -> None:
        """Take the number of batches in an epoch."""
        super().__init__(SequentialSampler(range(num_batches)), 1, drop_last=False)
        self._num_batches, self._epoch = num_batches, 0

    def set_epoch(self, epoch: int) -> None:
        """The trainer calls it at the start of every epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[list[int]]:
        first = self._epoch * self._num_batches
        yield from ([number] for number in range(first, first + self._num_batches))


class Schedule(TrainerCallback):
    """Decides when to score the model, save a checkpoint and stop early."""

    def __init__(self, params: Finetune) -> None:
        self._params = params
        self._checkpoint_minutes = read_local_settings().checkpoint_minutes
        self._saved_at = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask for a dev score or a checkpoint after a step within an epoch, if one is due."""
        if not _ends_epoch(args, state):
            every = self._params.evaluate_steps
            control.should_evaluate = every is not None and state.global_step % every == 0
            control.should_save = self._is_due()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask for a dev score after every epoch, and for a checkpoint if one is due."""
        if _ends_epoch(args, state):  # false if early stopping ended the epoch
            control.should_evaluate = True
            control.should_save = self._is_due()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop early if none of the last `patience` dev scores exceeds the best."""
        scores = [entry[DEV] for entry in state.log_history if DEV in entry]
        control.should_save = control.should_save or self._is_due()
        since_best = len(scores) - 1 - scores.index(max(scores))
        if self._params.patience and since_best >= self._params.patience:
            LOG.info("early stopping after step %d: %d dev scores without a new best", state.global_step, since_best)
            control.should_training_stop = True
            control.should_save = False  # resumed from there, training would continue

    def _is_due(self) -> bool:
        is_due = from_main(lambda: time.monotonic() - self._saved_at >= 60 * self._checkpoint_minutes)
        if is_due:
            self._saved_at = time.monotonic()
        return is_due


def _ends_epoch(args: Any, state: Any) -> bool:
    return bool(state.global_step % (state.max_steps // args.num_train_epochs) == 0)


class StopIfNotFinite(TrainerCallback):
    """Stops training if the loss is not finite."""

    def __init__(self, plan: Plan, remedy: str) -> None:
        """Take the batches, and what to do about such a loss."""
        self._plan, self._remedy = plan, remedy

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Raise an `InputError` that names the queries of the step."""
        if "loss" not in logs or torch.isfinite(torch.tensor(float(logs["loss"]))):
            return
        batches = map(self._plan.batch, self._numbers(state.global_step, args.gradient_accumulation_steps))
        ids = [self._plan.query_ids[query] for batch in batches for query in batch.queries.tolist()]
        shown = ", ".join(map(repr, ids[:SHOWN])) + (", ..." if len(ids) > SHOWN else "")
        raise InputError(
            f"step {state.global_step}: expected a finite loss, got {float(logs['loss'])} for the queries {shown}; "
            f"{self._remedy}"
        )

    def _numbers(self, step: int, accumulated: int) -> range:
        """Return the numbers of the batches of a step, counted from 1; `accumulated` batches make a step."""
        size = self._plan.num_batches
        epoch, position = divmod(step - 1, -(-size // accumulated))
        return range(epoch * size + position * accumulated, epoch * size + min(size, (position + 1) * accumulated))
