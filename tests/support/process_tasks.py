"""What the processes of a test do, in a module that is soon imported."""

import os
import signal
import time
from pathlib import Path

import torch

from retune.core.errors import InputError
from retune.training.processes.group import joined, rank, wait


def fail_in_the_second() -> None:
    with joined(torch.device("cpu")):
        if rank() == 1:
            raise InputError("params.yaml: expected more, got less")
        wait()


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    if len(list(folder.iterdir())) == 2:
        os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(600)
