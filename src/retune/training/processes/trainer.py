"""The trainer of sentence-transformers in several processes: all share every batch, the main one scores and writes."""

import copy
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from accelerate.utils import load_fsdp_model
from datasets import Dataset
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer

from retune.core.errors import InputError
from retune.params.finetune import Finetune
from retune.training.processes.group import rank, wait

TRAINED = "trained.safetensors"
REMEDY = "lower learning_rate or raise temperature"  # if a loss or weights are not finite


class ProcessTrainer(SentenceTransformerTrainer):
    """Trains one model in all processes; there is one sequence of batches and one of checkpoints for all of them."""

    def __init__(self, params: Finetune, **options: Any) -> None:
        """Take the parameters, and the options of the library's trainer."""
        self._unsharded = None
        if params.is_sharded:
            self._unsharded = copy.deepcopy(options["model"]) if rank() == 0 else None
            _prepare_to_shard(options["model"])
        super().__init__(**options)

    def get_train_dataloader(self) -> Any:
        """Return all batches in every process."""
        assert isinstance(self.train_dataset, Dataset)
        batches = self._build_dataloader(self.train_dataset, self.args.train_batch_size, dataset_kind="train")
        return prepare_data_loader(batches, num_processes=1, process_index=0)

    def whole_model(self) -> SentenceTransformer | None:
        """Return the model with all of its weights, in the main process only; every process must call this."""
        if not (self.is_deepspeed_enabled or self.is_fsdp_enabled):
            return self.model
        weights = self.accelerator.get_state_dict(self.model_wrapped)
        if self._unsharded is not None:
            self._unsharded.load_state_dict(weights)
        return self._unsharded

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write the trained weights only, as the others are in the base; DeepSpeed and FSDP write theirs elsewhere."""
        if rank() > 0 or self.is_deepspeed_enabled or self.is_fsdp_enabled:
            return
        write_trained(self.model, Path(output_dir or str(self.args.output_dir)), self.state.global_step, REMEDY)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        wait()  # all states must be there before the main process marks the checkpoint as complete

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.is_fsdp_enabled:
            plugin = self.accelerator.state.fsdp_plugin
            load_fsdp_model(plugin, self.accelerator, model, resume_from_checkpoint)
            return
        read_trained(self.model, Path(resume_from_checkpoint))


def write_trained(model: torch.nn.Module, folder: Path, step: int, remedy: str) -> None:
    """Write the trained weights of a model into a checkpoint's folder; the others are in the base.

    Raises:
        InputError: Some weights are not finite; `remedy` says what to do about it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = {name: values for name, values in model.named_parameters() if values.requires_grad}
    if not all(torch.isfinite(values).all() for values in trained.values()):
        raise InputError(f"step {step}: expected finite weights, got some that are not finite; {remedy}")
    save_file({name: values.detach().contiguous() for name, values in trained.items()}, folder / TRAINED)


def read_trained(model: torch.nn.Module, folder: Path) -> None:
    """Give a model the trained weights of a checkpoint."""
    unknown = model.load_state_dict(load_file(folder / TRAINED), strict=False).unexpected_keys
    assert not unknown, unknown


def _prepare_to_shard(model: Any) -> None:
    """Work around FSDP's problems with sentence-transformers models."""
    model.base_model_prefix = "0"  # otherwise accelerate takes Normalize for a transformer layer and fails to shard it
    for name, values in model.named_parameters():
        if ".pooler." in name:  # gets no gradient, so no optimizer state, without which FSDP cannot resume
            values.requires_grad = False
