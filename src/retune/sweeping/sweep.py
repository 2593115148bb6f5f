"""Train every configuration of a sweep within a budget, one after the other, and renew its report after each."""

import fcntl
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import IO

from retune.core.errors import InputError
from retune.core.files import write_text
from retune.sweeping.configurations import Configuration, Sweep, read_entry, read_sweep
from retune.sweeping.grid import described
from retune.sweeping.report import Outcome, curve_report, sweep_report
from retune.sweeping.request import Folders, Request
from retune.sweeping.training import Result, folder_of, read_result, train

COMMAND = ("-m", "stages.sweep")
LOG = logging.getLogger(__name__)


def sweep(request: Request, folders: Folders) -> str:
    """Train what the request describes and has not been trained before, write the report, and return it.

    Raises:
        InputError: An argument, parameter or input is wrong, a sweep of the model runs already, or nothing could be
            trained.
    """
    with _alone(request, folders):
        started, planned = monotonic(), read_sweep(request, folders)
        parent = folders.trainings / request.model
        places = [(configuration, folder_of(configuration, parent)) for configuration in planned.configurations]
        found = {folder: result for item, folder in places if (result := read_result(item, folder))}
        failures: dict[Path, str] = {}
        for number, (configuration, folder) in enumerate(places, start=1):
            if folder in found:
                continue
            if (used := monotonic() - started) >= planned.seconds:
                break
            LOG.info(
                "configuration %d of %d, after %.1f minutes: %s",
                number, len(places), used / 60.0, described(configuration.values),
            )  # fmt: skip
            try:
                found[folder] = train(configuration, folder)
            except InputError as error:
                failures[folder] = " ".join(str(error).split())
                LOG.warning("failed: %s", failures[folder])
            _write(_outcome(planned, places, found, failures), folders)
        outcome = _outcome(planned, places, found, failures)
    if not outcome.results:
        raise InputError(_why_none(outcome))
    return _write(outcome, folders)


def start(request: Request, folders: Folders) -> str:
    """Start a sweep in a process that outlives this one, and say where its log and its report are.

    Raises:
        InputError: An argument, parameter or input is wrong, or a sweep of the model runs already.
    """
    log = folders.trainings / request.model / "log"
    with _alone(request, folders) as lock:
        read_sweep(request, folders)
        with log.open("a") as file:
            process = subprocess.Popen(
                [sys.executable, *COMMAND, *request.arguments()],
                stdin=lock,  # locked until that process and its trainings have ended; there is nothing to read
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    return f"process {process.pid} trains; log: {log}; report, renewed after each training: {request.report(folders)}"


@contextmanager
def _alone(request: Request, folders: Folders) -> Iterator[IO[str]]:
    """Keep other sweeps of the same model from starting; a process made by `start` has the lock as standard input."""
    read_entry(request)
    folder = folders.trainings / request.model
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w+") as file:
        if not _is_standard_input(file):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"{request.entry}: a sweep of it runs already; its reports are in {folders.reports}; "
                    "wait, or end it"
                ) from None
        yield file


def _is_standard_input(file: IO[str]) -> bool:
    try:
        return file.fileno() != 0 and os.path.sameopenfile(0, file.fileno())
    except OSError:  # there is no standard input
        return False


def _outcome(
    planned: Sweep, places: list[tuple[Configuration, Path]], found: dict[Path, Result], failures: dict[Path, str]
) -> Outcome:
    return Outcome(
        planned,
        results=[found[folder] for _, folder in places if folder in found],
        failures=[(item, failures[folder]) for item, folder in places if folder in failures],
        untried=[item for item, folder in places if folder not in found and folder not in failures],
    )


def _why_none(outcome: Outcome) -> str:
    """Say why nothing was trained."""
    entry = outcome.sweep.request.entry
    lines = [f"{entry}, {described(failed.values)}: {reason}" for failed, reason in outcome.failures]
    return "\n".join(lines) or "--minutes: expected time for one training at least, got none; raise it"


def _write(outcome: Outcome, folders: Folders) -> str:
    """Write the report and its chart, if there is a result; return the report."""
    request = outcome.sweep.request
    path = request.report(folders)
    if not outcome.results:
        return ""
    report = (curve_report if request.labels else sweep_report)(outcome, f"{path.stem}.svg")
    write_text(path.with_suffix(".svg"), report.chart)
    write_text(path, report.text)
    return report.text
