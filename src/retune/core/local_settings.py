"""Settings of one machine, read from environment variables RETUNE_*.

They never change a result, so they are not parameters.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from retune.core.errors import InputError

DEFAULT_CACHE = "~/.cache/retune/embeddings"
DEFAULT_REPLIES = "data/replies"
VARIABLES = {
    "RETUNE_CACHE": "folder of the embedding cache; empty for none",
    "RETUNE_CACHE_GB": "size limit of the embedding cache",
    "RETUNE_CHECKPOINT_MINUTES": "minutes between checkpoints: the most training that is lost when it is killed",
    "RETUNE_REPORT_TO": "where training reports its progress, such as wandb,mlflow",
    "RETUNE_DATA_WORKERS": "processes that prepare training batches",
    "RETUNE_REPLIES": "folder of the replies of language models",
    "RETUNE_LLM_CONCURRENCY": "requests to a language model that wait for their replies at the same time",
    "RETUNE_SERVE_KEY": "key that clients of `make serve` must send",
}


@dataclass(frozen=True)
class LocalSettings:
    """The settings from the environment, with defaults for variables that are not set.

    Attributes:
        cache: Folder of the embedding cache; None disables the cache.
        cache_gb: Size limit of the whole folder.
        checkpoint_minutes: Time between two training checkpoints.
        report_to: Values for `report_to` of the transformers trainer.
        data_workers: Processes that prepare batches; 0 means that the training process does.
        replies: Folder of the replies of language models.
        llm_concurrency: Most requests to a language model in flight.
        serve_key: The key that clients of the server must send; empty for none.
    """

    cache: Path | None
    cache_gb: float
    checkpoint_minutes: float
    report_to: list[str]
    data_workers: int
    replies: Path
    llm_concurrency: int
    serve_key: str


def read_local_settings() -> LocalSettings:
    """Read the settings from the environment.

    Raises:
        InputError: A variable has an invalid value, or begins with RETUNE_ and is unknown.
    """
    for name in sorted(os.environ):
        if name.startswith("RETUNE_") and name not in VARIABLES:
            raise InputError(f"{name}: unknown variable; expected one of {', '.join(VARIABLES)}; fix it or unset it")
    cache = os.environ.get("RETUNE_CACHE", DEFAULT_CACHE)
    return LocalSettings(
        cache=_folder("RETUNE_CACHE", cache) if cache else None,
        cache_gb=_positive("RETUNE_CACHE_GB", 10.0),
        checkpoint_minutes=_positive("RETUNE_CHECKPOINT_MINUTES", 5.0),
        report_to=[name.strip() for name in os.environ.get("RETUNE_REPORT_TO", "").split(",") if name.strip()],
        data_workers=_whole("RETUNE_DATA_WORKERS", 0, at_least=0),
        replies=_folder("RETUNE_REPLIES", os.environ.get("RETUNE_REPLIES") or DEFAULT_REPLIES),
        llm_concurrency=_whole("RETUNE_LLM_CONCURRENCY", 16, at_least=1),
        serve_key=os.environ.get("RETUNE_SERVE_KEY", "").strip(),
    )


def _folder(name: str, value: str) -> Path:
    if Path(value).expanduser().is_file():
        raise InputError(f"{name}: expected a folder, got the file {value!r}; fix it or unset it")
    return Path(value).expanduser()


def _whole(name: str, default: int, *, at_least: int) -> int:
    value = os.environ.get(name) or str(default)
    if not value.isdecimal() or int(value) < at_least:
        raise InputError(f"{name}: expected a whole number >= {at_least}, got {value!r}; fix it or unset it")
    return int(value)


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
