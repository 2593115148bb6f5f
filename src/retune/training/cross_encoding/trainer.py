"""The library's trainer of cross-encoders with retune's batches, dev scores, early stopping and checkpoints."""

from pathlib import Path
from typing import Any

from accelerate.data_loader import prepare_data_loader
from datasets import Dataset
from sentence_transformers import CrossEncoderTrainer
from transformers import ProgressCallback

from retune.params.finetune import Finetune
from retune.training.batches.plan import Plan
from retune.training.cross_encoding.model import PairModel
from retune.training.dev_scoring import DevEvaluator
from retune.training.history import DEV, HistoryRow, dev_scores, read_log
from retune.training.processes.trainer import read_trained, write_trained
from retune.training.progress import Progress
from retune.training.trainer import EpochSampler, Schedule, StopIfNotFinite

REMEDY = "lower learning_rate"  # if a loss or weights are not finite


class PairTrainer(CrossEncoderTrainer):
    """Trains on the batches of a plan; each row of its data set is the number of a batch."""

    def __init__(self, *, plan: Plan, params: Finetune, dev_evaluator: DevEvaluator[Any], **options: Any) -> None:
        """Take the plan, and the options of the library's trainer except its data and evaluator."""
        numbers = Dataset.from_dict({"batch": list(range(params.epochs * plan.num_batches))})
        super().__init__(train_dataset=numbers, **options)
        self._num_batches, self._dev_evaluator = plan.num_batches, dev_evaluator
        model: PairModel = options["model"]
        self.remove_callback(ProgressCallback)
        for callback in (Progress(model, model.device), StopIfNotFinite(plan, REMEDY), Schedule(params)):
            self.add_callback(callback)

    def get_train_dataloader(self) -> Any:
        """Return the batches in their order."""
        assert isinstance(self.train_dataset, Dataset)
        batches = self._build_dataloader(self.train_dataset, self.args.train_batch_size, dataset_kind="train")
        return prepare_data_loader(batches, num_processes=1, process_index=0)

    def get_batch_sampler(self, *args: Any, **kwargs: Any) -> EpochSampler:
        """Return the sampler of batch numbers; the library passes arguments that are not needed."""
        return EpochSampler(self._num_batches)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Score the model on dev."""
        epoch, step, earlier = self.state.epoch, self.state.global_step, dev_scores(self.history_rows())
        assert epoch is not None
        metrics = {DEV: self._dev_evaluator(self.model, epoch=epoch, step=step, earlier=earlier)}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def history_rows(self) -> list[HistoryRow]:
        """Return all steps and dev scores so far, including those from before resuming."""
        return read_log(self.state.log_history)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        write_trained(self.model, Path(output_dir or str(self.args.output_dir)), self.state.global_step, REMEDY)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        read_trained(self.model, Path(resume_from_checkpoint))
