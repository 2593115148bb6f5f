"""Run a stage's `main` from the command line: arguments from its signature, errors in one line."""

import argparse
import inspect
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retune.core.errors import InputError

FAILURE = 1


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's arguments and exit.

    Positional parameters are strings, keyword-only ones are paths given as `--name PATH`. Wrong input
    (`InputError`) is logged as one line per finding and exits 1; anything else is a bug and keeps its traceback.
    """
    log_to_stderr()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # asked for, so no warning after a fork
    try:
        main(**_parse(main, sys.argv[1:]))
    except InputError as error:
        for line in str(error).splitlines():
            logging.getLogger("retune").error("error: %s", line)
        raise SystemExit(FAILURE) from None


def log_to_stderr() -> None:
    """Show what we log from information on, and what others do from warnings on."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("retune").setLevel(logging.INFO)


def _parse(main: Callable[..., None], argv: list[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[main.__module__]))
    for name, parameter in inspect.signature(main).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            parser.add_argument(f"--{name.replace('_', '-')}", dest=name, type=Path, required=True)
        else:
            parser.add_argument(name)
    return vars(parser.parse_args(argv))
