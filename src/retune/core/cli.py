"""Run a stage's `main` from the command line: its signature defines the arguments, wrong input ends in one line."""

import argparse
import inspect
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from retune.core.errors import InputError

FAILURE = 1


def run(main: Callable[..., None]) -> None:
    """Call `main` with the arguments of the command line.

    Positional parameters are strings. Keyword-only parameters are given as `--name VALUE` and are optional if they
    have a default; those of type `bool` take no value, those of type `Sequence[str]` may be repeated, and a name that
    Python reserves ends in `_`. Wrong input (`InputError`) is logged, one line per finding, and the process exits with
    1; any other exception is a bug and keeps its traceback.
    """
    log_to_stderr()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # set explicitly, it causes no warning after a fork
    try:
        main(**_parse(main, sys.argv[1:]))
    except InputError as error:
        for line in str(error).splitlines():
            logging.getLogger("retune").error("error: %s", line)
        raise SystemExit(FAILURE) from None


def log_to_stderr() -> None:
    """Log to stderr: our own messages from level INFO, those of other libraries from level WARNING."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("retune").setLevel(logging.INFO)


def _parse(main: Callable[..., None], argv: list[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[main.__module__]))
    for name, parameter in inspect.signature(main).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            parser.add_argument(f"--{name.rstrip('_').replace('_', '-')}", dest=name, **_options(parameter))
        else:
            parser.add_argument(name)
    return vars(parser.parse_args(argv))


def _options(parameter: inspect.Parameter) -> dict[str, Any]:
    if parameter.annotation is bool:
        return {"action": "store_true"}
    if parameter.annotation == Sequence[str]:
        return {"action": "append", "default": list(parameter.default)}
    is_required = parameter.default is inspect.Parameter.empty
    kind = Path if parameter.annotation is Path else str
    return {"type": kind, "required": is_required, "default": None if is_required else parameter.default}
