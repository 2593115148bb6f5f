"""Fine-tune a model on mined examples, and write the tuned model and its training history."""

import shutil
from pathlib import Path

from retune.core.files import atomic_directory
from retune.models.card import CARD
from retune.models.scope import check_unscoped
from retune.training.history import write_history
from retune.training.spec import Task


def finetune(task: Task, out: Path, history: Path) -> None:
    """Write the tuned model to `out`, and its loss, learning rate and dev score by step to `history`.

    With method `none`, the tuned model is a copy of the base; with `nudge`, document vectors are moved instead; with
    `cross_encoder`, it scores pairs of a query and a document.

    Raises:
        InputError: The base is made for one data set, or the training cannot start or fails; see `train`.
    """
    check_unscoped(task.base)
    if task.params.method == "none":
        with atomic_directory(out) as partial:
            shutil.copytree(task.base, partial, dirs_exist_ok=True, ignore=shutil.ignore_patterns(CARD))
        return write_history([], history, task.params.dev_metric)
    if task.params.method == "nudge":
        from retune.training.nudging.nudge import nudge

        return nudge(task, out, history)
    if task.params.method == "cross_encoder":
        from retune.training.cross_encoding.train import train_cross_encoder

        return train_cross_encoder(task, out, history)
    from retune.training.train import train

    return train(task, out, history)
