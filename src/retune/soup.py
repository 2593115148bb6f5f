"""Model soups (Wortsman et al., arXiv:2203.05482) in one run: it trains from the base more than once."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback

from retune.params.finetune import Finetune


class BaseAgain(TrainerCallback):
    """Sets the weights to those of the base and forgets the optimizer's state, where the next model begins."""

    def __init__(self, model: SentenceTransformer, soup_size: int) -> None:
        """Take the model before it is trained, or taken up at a checkpoint."""
        self._soup_size = soup_size
        self._base = {name: values.detach().clone() for name, values in model.named_parameters()}

    @torch.no_grad()
    def on_epoch_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **kwargs: Any
    ) -> None:
        """The trainer calls it, also within an epoch that a run is taken up in."""
        if state.global_step == 0 or state.global_step % (state.max_steps // self._soup_size):
            return
        for name, values in model.named_parameters():
            values.copy_(self._base[name])
        optimizer.state.clear()


def repeat_schedule(scheduler: LambdaLR, num_steps: int) -> None:
    """Let a schedule begin again after each `num_steps` steps, in place."""
    scheduler.lr_lambdas = [partial(_repeated, share, num_steps) for share in scheduler.lr_lambdas]


def epoch_from_base(epoch: float, params: Finetune) -> float:
    """Return the epoch, above 0 and up to `params.epochs`, since a model of the soup began, of that of the run."""
    return epoch - (math.ceil(epoch) - 1) // params.epochs * params.epochs


def _repeated(share: Callable[[int], float], num_steps: int, step: int) -> float:
    return share(step % num_steps)
