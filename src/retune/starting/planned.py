"""The stages that will run, and what is said about them."""

import math
from dataclasses import dataclass

from retune.starting.layouts import join

VERBS = {
    "fetch": "fetch", "convert": "convert", "synthesize": "synthesise", "mine": "mine", "mix": "mix",
    "finetune": "tune", "merge": "merge", "export": "export", "rerank": "join", "fuse": "join",
}  # fmt: skip
MOST_NAMES = 4  # are listed; more are counted
HOURS_FROM = 120  # minutes


@dataclass(frozen=True)
class Task:
    """One stage that has no output yet.

    Attributes:
        stage: The stage's name.
        of: The names it is for: an entry, or a model and a data set.
        seconds: About how long it takes; None if the size of its data is not known yet.
    """

    stage: str
    of: tuple[str, ...]
    seconds: float | None


def sentence(tasks: list[Task]) -> str:
    """Return what tasks do, as the rest of a sentence."""
    parts = [
        f"{verb} {join([task.of[0] for task in tasks if task.stage == stage])}"
        for stage, verb in VERBS.items()
        if any(task.stage == stage for task in tasks)
    ]
    measured = [task.of for task in tasks if task.stage == "eval"]
    if measured:
        models, datasets = (sorted({pair[place] for pair in measured}) for place in (0, 1))
        parts.append(f"measure {_few(models, 'models')} on {_few(datasets, 'data sets')}")
    return join([*parts, "compare"])


def _few(names: list[str], kind: str) -> str:
    return join(names) if len(names) <= MOST_NAMES else f"{len(names)} {kind}"


def names_of(tasks: list[Task]) -> str:
    """Return the entries of tasks, each once."""
    return _few(list(dict.fromkeys(task.of[0] for task in tasks)), "entries")


def time_of(tasks: list[Task], seconds: float = 0.0, *, is_least: bool = False) -> str:
    """Return the minutes of tasks, rounded up."""
    known = [task.seconds for task in tasks if task.seconds is not None]
    least = "more than" if is_least or len(known) < len(tasks) else "about"
    minutes = math.ceil((seconds + sum(known)) / 60)
    return (
        f"{least} {minutes} minute{'s' if minutes > 1 else ''}"
        if minutes < HOURS_FROM
        else f"{least} {minutes / 60:.1f} hours"
    )
