"""Model soups (Wortsman et al., arXiv:2203.05482) in one run: it trains from the base more than once."""

import copy
import math
from typing import Any

from sentence_transformers import SentenceTransformer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import TrainerCallback


class RestartFromBase(TrainerCallback):
    """Lets weights, optimizer and schedule begin again where the next model of a soup does."""

    def __init__(self, model: SentenceTransformer, soup_size: int) -> None:
        """Take the model before it is trained, or taken up at a checkpoint; its weights are kept on the CPU."""
        self._soup_size = soup_size
        self._base = {name: values.detach().cpu().clone() for name, values in model.state_dict().items()}
        self._optimizer: dict[str, Any] = {}
        self._schedule: dict[str, Any] = {}

    def remember(self, optimizer: Optimizer, scheduler: LRScheduler) -> None:
        """Take the optimizer and the schedule of one model's steps before the first of them."""
        self._optimizer, self._schedule = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))

    def on_epoch_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Restart if a model of the soup has just ended; a run taken up within an epoch calls this as well."""
        if state.global_step == 0 or state.global_step % (state.max_steps // self._soup_size):
            return
        model.load_state_dict(self._base)
        kwargs["optimizer"].load_state_dict(copy.deepcopy(self._optimizer))
        kwargs["lr_scheduler"].load_state_dict(copy.deepcopy(self._schedule))


def epoch_of_model(epoch: float, epochs: int) -> float:
    """Return an epoch of the run, above 0, counted from the start of its model of the soup: above 0, up to `epochs`."""
    return epoch - (math.ceil(epoch) - 1) // epochs * epochs
