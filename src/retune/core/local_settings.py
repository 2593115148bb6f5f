"""Choices of one machine that never change a bit of a result, so no parameters: environment variables RETUNE_*."""

import os
from dataclasses import dataclass
from pathlib import Path

from retune.core.errors import InputError

DEFAULT_CACHE = "~/.cache/retune/embeddings"
VARIABLES = {
    "RETUNE_CACHE": "folder of the embedding cache; empty for none",
    "RETUNE_CACHE_GB": "size limit of the embedding cache",
    "RETUNE_CHECKPOINT_MINUTES": "most minutes of training that a killed run loses",
    "RETUNE_REPORT_TO": "reporters of training, such as wandb,mlflow",
    "RETUNE_DATA_WORKERS": "processes that make the batches of training",
}


@dataclass(frozen=True)
class LocalSettings:
    """What the environment says, or what holds where it says nothing.

    Attributes:
        cache: Folder of the embedding cache; None: no vector is kept.
        cache_gb: Size limit of all its files together.
        checkpoint_minutes: Time from one checkpoint of training to the next.
        report_to: Names of reporters that the trainer of transformers knows.
        data_workers: Processes that make batches; 0: the training process itself.
    """

    cache: Path | None
    cache_gb: float
    checkpoint_minutes: float
    report_to: list[str]
    data_workers: int


def read_local_settings() -> LocalSettings:
    """Read the environment.

    Raises:
        InputError: A variable has no usable value, or begins with RETUNE_ and is none of ours.
    """
    for name in sorted(os.environ):
        if name.startswith("RETUNE_") and name not in VARIABLES:
            raise InputError(f"{name}: unknown variable; expected one of {', '.join(VARIABLES)}; fix it or unset it")
    cache = os.environ.get("RETUNE_CACHE", DEFAULT_CACHE)
    workers = os.environ.get("RETUNE_DATA_WORKERS", "0")
    if not workers.isdecimal():
        raise InputError(f"RETUNE_DATA_WORKERS: expected a whole number from 0, got {workers!r}; fix it or unset it")
    return LocalSettings(
        cache=Path(cache).expanduser() if cache else None,
        cache_gb=_positive("RETUNE_CACHE_GB", 10.0),
        checkpoint_minutes=_positive("RETUNE_CHECKPOINT_MINUTES", 5.0),
        report_to=[name for name in os.environ.get("RETUNE_REPORT_TO", "").split(",") if name],
        data_workers=int(workers),
    )


def _positive(name: str, default: float) -> float:
    value = os.environ.get(name, "")
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0.0 < number < float("inf"):
        raise InputError(f"{name}: expected a number above 0, got {value!r}; fix it or unset it")
    return number
