"""Which weights are scored on dev, and which scored model is kept."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic

import torch

from retune.encoding.loading import Model
from retune.params.finetune import Finetune
from retune.training.adapters import copy_whole
from retune.training.keeping.averaging import RunningMean, epoch_of_model


class Keeper(Generic[Model]):
    """Turns a model in training into the model to score, and saves it if it is the one that `checkpoint` names."""

    def __init__(
        self,
        params: Finetune,
        scratch: Path,
        device: torch.device,
        save: Callable[[Model, Model], None],
        finish: Callable[[Model], None] | None = None,
    ) -> None:
        """Take the parameters, and how to save a model.

        Args:
            params: Parameters of the tuned model.
            scratch: The scratch directory of the training.
            device: The device to score on.
            save: Saves a model, given the model in training and the copy of it that was scored.
            finish: Adds to a copy, in place, what the written model has and the model in training lacks.
        """
        self._params, self._device = params, device
        self._finish: Callable[[Model], None] | None = finish
        self._save: Callable[[Model, Model], None] = save
        self._mean = RunningMean(scratch)

    def candidate(self, model: Model, epoch: float, step: int) -> Model:
        """Return the copy to score and perhaps to save, with weights averaged as configured."""
        whole = copy_whole(model).to(self._device)
        first = self._params.averages.from_epoch
        if first is not None and epoch_of_model(epoch, self._params.epochs) >= first:
            self._mean.add(whole, step)
        if self._finish:
            self._finish(whole)
        return whole

    def is_kept(self, score: float, epoch: float, earlier: Sequence[float]) -> bool:
        """Return whether the model with a dev score replaces the one saved before.

        Args:
            score: The model's dev score.
            epoch: The epoch after which it was scored, which may be a fraction.
            earlier: All dev scores before it.
        """
        if self._params.checkpoint == "best":
            return score > max(earlier, default=float("-inf"))
        return self._params.checkpoint in ("last", epoch)

    def save(self, model: Model, scored: Model) -> None:
        """Save the model that was scored, and the adapter of the model in training, if it has one."""
        self._save(model, scored)
