"""Weights: the averages of one training (SWA) and of several (soup), and a decay towards the base's (L2-SP)."""

import copy
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import TrainerCallback

from retune.core.files import atomic_file
from retune.training.keeping.checkpoints import newest_checkpoint, step_of

MEANS = "means"  # in the scratch directory


@torch.no_grad()
def move_towards(model: torch.nn.Module, others: Mapping[str, torch.Tensor], share: float) -> None:
    """Set each weight in place to share * the other one + (1 - share) * its value."""
    for name, values in _weights(model):
        values.lerp_(others[name].to(values.device), share)


class RunningMean:
    """Mean of the weights over dev scores (stochastic weight averaging, Izmailov et al., arXiv:1803.05407).

    There is a file for each dev score. A training resumed at an earlier checkpoint writes the same file again.
    """

    def __init__(self, scratch: Path) -> None:
        """Take the scratch directory of the training."""
        self._scratch, self._folder = scratch, scratch / MEANS

    def add(self, model: torch.nn.Module, step: int) -> None:
        """Include the weights after a step in the mean, and set the model's weights in place to the mean."""
        self._folder.mkdir(exist_ok=True)
        if earlier := [previous for previous in self._steps() if previous < step]:
            mean = load_file(self._path(earlier[-1]))
            count = int(mean.pop("count"))
            move_towards(model, mean, count / (count + 1))
        weights = {name: values.contiguous() for name, values in _weights(model)}
        with atomic_file(self._path(step)) as partial:
            save_file(weights | {"count": torch.tensor(count + 1 if earlier else 1)}, partial)
        self._delete_unneeded()

    def _delete_unneeded(self) -> None:
        """Delete the means that no resumed training would need."""
        checkpoint = newest_checkpoint(self._scratch)
        earlier = [step for step in self._steps() if checkpoint and step <= step_of(checkpoint)]
        for step in earlier[:-1]:
            self._path(step).unlink()

    def _steps(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.safetensors"))

    def _path(self, step: int) -> Path:
        return self._folder / f"{step}.safetensors"


def _weights(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield each floating-point tensor of a model's state; a tensor with two names comes once."""
    seen = set()
    for name, values in model.state_dict().items():
        if values.is_floating_point() and values.data_ptr() not in seen:
            seen.add(values.data_ptr())
            yield name, values


class RestartFromBase(TrainerCallback):
    """Resets weights, optimizer and schedule before each further model of a soup is trained."""

    def __init__(self, model: SentenceTransformer, num_models: int) -> None:
        """Copy the base weights to the CPU; call this before training, and before resuming from a checkpoint."""
        self._num_models = num_models
        self._base = {name: values.detach().cpu().clone() for name, values in model.state_dict().items()}
        self._optimizer: dict[str, Any] = {}
        self._schedule: dict[str, Any] = {}

    def remember(self, optimizer: Optimizer, scheduler: LRScheduler) -> None:
        """Copy the state of optimizer and schedule before the first step."""
        self._optimizer, self._schedule = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))

    def on_epoch_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Restart if a model of the soup was just completed; also called when training resumes within an epoch."""
        if state.global_step == 0 or state.global_step % (state.max_steps // self._num_models):
            return
        model.load_state_dict(self._base)
        kwargs["optimizer"].load_state_dict(copy.deepcopy(self._optimizer))
        kwargs["lr_scheduler"].load_state_dict(copy.deepcopy(self._schedule))


class DecayToBase(TrainerCallback):
    """Moves weights towards those of the base after each step: L2-SP (Li et al., arXiv:1802.01483).

    As AdamW does with its weight decay, it does not pass through the optimizer: w = w + learning rate * strength *
    (base - w).
    """

    def __init__(self, model: SentenceTransformer, strength: float) -> None:
        """Copy the base weights; call this before training, and before resuming from a checkpoint."""
        self._strength = strength
        self._base = {name: values.detach().clone() for name, values in model.named_parameters()}

    @torch.no_grad()
    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Move the weights that are trained."""
        share = self._strength * kwargs["optimizer"].param_groups[0]["lr"]
        for name, values in model.named_parameters():
            if values.requires_grad:
                self._base[name] = self._base[name].to(values.device)
                values.lerp_(self._base[name], share)


def epoch_of_model(epoch: float, epochs: int) -> float:
    """Return the epoch within the current model of a soup, in (0, epochs], given the epoch of the whole training."""
    return epoch - (math.ceil(epoch) - 1) // epochs * epochs
