"""The trainer of sentence-transformers, with our batches, our loss, dev scores by the encoder of `eval`, and resume."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import BatchSampler, SequentialSampler
from transformers import ProgressCallback, TrainerCallback

from retune.core.errors import InputError
from retune.core.local_settings import read_local_settings
from retune.encoding.encoder import query_inputs
from retune.encoding.hardware import release_memory
from retune.encoding.tokenizing import Tokenizer, pad
from retune.models.encoding_settings import Encoding
from retune.params.finetune import Finetune
from retune.training.adapters import copy_whole
from retune.training.batches.plan import Plan
from retune.training.history import DEV, HistoryRow, read_log
from retune.training.keeping.averaging import RestartFromBase, RunningMean, epoch_of_model, move_towards
from retune.training.processes.group import from_main
from retune.training.processes.trainer import ProcessTrainer
from retune.training.progress import Progress

LOG = logging.getLogger(__name__)
CPU = torch.device("cpu")
SHOWN = 5  # ids in a message


class Trainer(ProcessTrainer):
    """Runs the batches of a plan; a row of its data set is the number of a batch."""

    def __init__(self, *, plan: Plan, params: Finetune, **options: Any) -> None:
        """Take the plan, and what the library's trainer takes besides its data."""
        numbers = Dataset.from_dict({"batch": list(range(params.all_epochs * plan.num_batches))})
        super().__init__(params, train_dataset=numbers, **options)
        self._num_batches = plan.num_batches
        self.remove_callback(ProgressCallback)
        for callback in (Progress(options["loss"]), _StopIfNotFinite(plan), _Schedule(params)):
            self.add_callback(callback)
        self._num_models = params.averages.models
        if self._num_models > 1:
            self._restart = RestartFromBase(options["model"], self._num_models)
            self.add_callback(self._restart)

    def get_batch_sampler(self, *args: Any, **kwargs: Any) -> "_EpochSampler":
        """Return the numbers of batches, whatever is asked for."""
        return _EpochSampler(self._num_batches)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LRScheduler:
        """Return the schedule of the steps from the base."""
        scheduler = super().create_scheduler(num_training_steps // self._num_models, optimizer)
        if self._num_models > 1:
            self._restart.remember(cast(Optimizer, self.optimizer), scheduler)
        return scheduler

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Score in the main process; the others wait for it."""
        model, evaluator, state = self.whole_model(), cast(Any, self.evaluator), self.state
        scores: dict[str, float] = from_main(lambda: evaluator(model, epoch=state.epoch, steps=state.global_step))
        metrics = {f"eval_{name}": value for name, value in scores.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def history_rows(self) -> list[HistoryRow]:
        """Return all steps and dev scores so far, those before a resume included."""
        return read_log(self.state.log_history)


class Collator(SentenceTransformerDataCollator):
    """Makes the tensors of a batch from texts tokenised once, exactly as the encoder does."""

    def __init__(self, plan: Plan, tokenizer: Any, encoding: Encoding) -> None:
        """Tokenise all texts of the plan."""
        super().__init__(preprocess_fn=list, valid_label_columns=[])
        self._plan = plan
        own = Tokenizer(tokenizer, encoding)
        texts, prompts = zip(*plan.queries, strict=True)
        queries, _ = own.tokenize(query_inputs(texts, prompts, encoding), "queries")
        documents, _ = own.tokenize([encoding.document_prefix + text for text in plan.documents], "documents")
        for role, each, given in (("query", queries, texts), ("document", documents, plan.documents)):
            if not all(each):
                empty = given[next(row for row, ids in enumerate(each) if not ids)]
                raise InputError(f"training: expected texts, got a {role} without tokens, {empty!r}; leave it out")
        self._queries, self._documents = ([np.array(ids, np.int32) for ids in each] for each in (queries, documents))
        self._tokenizer = own.plain

    def __call__(self, rows: list[dict[str, int]]) -> dict[str, Any]:
        """Return features, named `<column>_<feature>` as the trainer wants them, and `label` as the loss does."""
        batch = self._plan.batch(rows[0]["batch"])
        inputs: dict[str, Any] = {}
        for column, all_ids, positions in (
            ("query", self._queries, batch.queries),
            ("document", self._documents, batch.documents),
        ):
            ids = [all_ids[position] for position in positions.tolist()]
            for name, values in pad(self._tokenizer, ids, max(map(len, ids)), CPU).items():
                inputs[f"{column}_{name}"] = values
        inputs["label"] = {
            "is_compared": torch.from_numpy(batch.is_compared),
            "groups": torch.from_numpy(batch.groups),
            "scores": torch.from_numpy(batch.scores),
        }
        return inputs


class DevEvaluator(BaseEvaluator):
    """Scores the model on the dev split, and keeps what the run is to write."""

    def __init__(
        self,
        score: Callable[[SentenceTransformer], float],
        keep: Callable[[SentenceTransformer, SentenceTransformer], None],
        params: Finetune,
        base: SentenceTransformer,
        mean: RunningMean,
    ) -> None:
        """Take what scores a model, what keeps one, from that in training and its copy that is whole, base and mean."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._score, self._keep, self._params, self._mean = score, keep, params, mean
        self._base = (
            {name: values.clone() for name, values in base.state_dict().items()} if params.averages.base_weight else {}
        )
        self.trainer: Any = None  # which has history_rows()

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the dev score."""
        earlier = [row.dev for row in self.trainer.history_rows() if row.dev is not None]
        whole = copy_whole(model).to(self.trainer.args.device)
        first = self._params.averages.from_epoch
        if first is not None and epoch_of_model(epoch, self._params.epochs) >= first:
            self._mean.add(whole, steps)
        if self._base:
            move_towards(whole, self._base, self._params.averages.base_weight)
        score = self._score(whole)
        checkpoint = self._params.checkpoint
        if checkpoint in ("last", epoch) or (checkpoint == "best" and score > max(earlier, default=float("-inf"))):
            self._keep(model, whole)
        del whole
        release_memory(self.trainer.args.device)
        return {"dev": score}


class _EpochSampler(BatchSampler):
    """The numbers of an epoch's batches, one by one."""

    def __init__(self, num_batches: int) -> None:
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


class _Schedule(TrainerCallback):
    """When to score, to save a checkpoint, and to stop early."""

    def __init__(self, params: Finetune) -> None:
        self._params = params
        self._checkpoint_minutes = read_local_settings().checkpoint_minutes
        self._saved_at = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not _ends_epoch(args, state):
            every = self._params.evaluate_steps
            control.should_evaluate = every is not None and state.global_step % every == 0
            control.should_save = self._is_due()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if _ends_epoch(args, state):  # not so where patience ended a run
            control.should_evaluate = True
            control.should_save = self._is_due()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        scores = [entry[DEV] for entry in state.log_history if DEV in entry]
        control.should_save = control.should_save or self._is_due()
        since_best = len(scores) - 1 - scores.index(max(scores))
        if self._params.patience and since_best >= self._params.patience:
            LOG.info("stopped after step %d: %d dev scores in a row were no better", state.global_step, since_best)
            control.should_training_stop = True
            control.should_save = False  # taken up from there, it would go on

    def _is_due(self) -> bool:
        is_due = from_main(lambda: time.monotonic() - self._saved_at >= 60 * self._checkpoint_minutes)
        if is_due:
            self._saved_at = time.monotonic()
        return is_due


def _ends_epoch(args: Any, state: Any) -> bool:
    return bool(state.global_step % (state.max_steps // args.num_train_epochs) == 0)


class _StopIfNotFinite(TrainerCallback):
    """Stops a run whose loss is not finite."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" not in logs or torch.isfinite(torch.tensor(float(logs["loss"]))):
            return
        batches = map(self._plan.batch, self._numbers(state.global_step, args.gradient_accumulation_steps))
        ids = [self._plan.query_ids[query] for batch in batches for query in batch.queries.tolist()]
        shown = ", ".join(map(repr, ids[:SHOWN])) + (", ..." if len(ids) > SHOWN else "")
        raise InputError(
            f"step {state.global_step}: loss is {float(logs['loss'])}, of the queries {shown}; "
            "lower learning_rate or raise temperature"
        )

    def _numbers(self, step: int, accumulated: int) -> range:
        """Return the numbers of a step's batches."""
        size = self._plan.num_batches
        epoch, place = divmod(step - 1, -(-size // accumulated))
        return range(epoch * size + place * accumulated, epoch * size + min(size, (place + 1) * accumulated))
