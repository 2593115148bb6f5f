"""Starting the processes of a training as torchrun does, and reporting their errors."""

import importlib.util
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from retune.core.cli import log_to_stderr
from retune.core.errors import InputError
from retune.encoding.hardware import alike_devices
from retune.params.finetune import SHARDING, Finetune

LAUNCHER = ("torch.distributed.elastic.multiprocessing.api", "torch.distributed.elastic.agent.server.api")


def to_start(params: Finetune, device: torch.device) -> int:
    """Return how many processes to start; 0: train in this process, alone or as one that torchrun started.

    Raises:
        InputError: There are fewer GPUs than `processes`, or they are of several kinds; or a requirement of DeepSpeed
            or FSDP is not met.
    """
    check_sharding(params, device)
    if "LOCAL_RANK" in os.environ:
        return 0
    count = _num_processes(params.processes, device)
    return count if count > 1 or params.is_sharded else 0


def check_sharding(params: Finetune, device: torch.device) -> None:
    """Check that DeepSpeed and FSDP have what they need, if they are requested."""
    requested = [name for name in SHARDING if params.trainer.get(name)]
    if requested and device.type != "cuda":
        raise InputError(f"trainer.{requested[0]}: expected a CUDA device, got {device}; remove it")
    if "deepspeed" in requested and importlib.util.find_spec("deepspeed") is None:
        raise InputError(
            "trainer.deepspeed: expected the package deepspeed, got none; run pip install deepspeed, or remove it"
        )
    if "deepspeed" in requested and params.gradient_caching:
        raise InputError("gradient_caching: expected false with trainer.deepspeed, got true; use fsdp instead")


def _num_processes(requested: int | str, device: torch.device) -> int:
    alike = alike_devices(device)
    if device.type != "cuda":
        count = 1 if requested == "auto" else int(requested)
        if count > 1 and device.type != "cpu":
            raise InputError(f"processes: expected 1 on {device}, got {count}; set it to 1")
        return count
    count = len(alike) if requested == "auto" else int(requested)
    visible = f"CUDA_VISIBLE_DEVICES is {os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}"
    if count > torch.cuda.device_count():
        raise InputError(
            f"processes: expected at least {count} visible GPUs, got {torch.cuda.device_count()} ({visible}); "
            "lower processes, or make more GPUs visible"
        )
    if alike[:count] != [f"cuda:{index}" for index in range(count)]:
        raise InputError(
            f"processes: expected the first {count} visible GPUs to be of one kind, got only {', '.join(alike)} "
            f"({visible}); make GPUs of one kind visible"
        )
    return count


def start(function: Callable[..., None], arguments: Sequence[object], count: int) -> None:
    """Run a function in new processes, each of which knows its rank, and wait until they end.

    Raises:
        InputError: A process raised it or was killed, or a signal stopped this process.
    """
    for name in LAUNCHER:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # otherwise a failure is twenty lines
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id="retune",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    num_threads = max(1, torch.get_num_threads() // count)
    with tempfile.TemporaryDirectory() as errors:
        try:
            elastic_launch(config, _run)(function, arguments, num_threads, Path(errors))
        except SignalException as stop:
            remedy = "start it again to resume from its last checkpoint"
            raise InputError(f"training was stopped by {stop.sigval.name}; {remedy}") from None
        except ChildFailedError as error:
            raise _input_error(Path(errors), count) or _killed(error, count) or error from None


def _run(function: Callable[..., None], arguments: Sequence[object], num_threads: int, errors: Path) -> None:
    """Run a function in a new process; the message of an `InputError` is left in a file for the parent process."""
    log_to_stderr()
    os.environ["OMP_NUM_THREADS"] = str(num_threads)
    torch.set_num_threads(num_threads)
    try:
        function(*arguments)
    except InputError as error:
        (errors / os.environ["RANK"]).write_text(str(error), encoding="utf-8")
        raise


def _input_error(errors: Path, count: int) -> InputError | None:
    """Return the `InputError` of the first process that left one."""
    files = [errors / str(number) for number in range(count)]
    return next((InputError(file.read_text(encoding="utf-8")) for file in files if file.exists()), None)


def _killed(error: ChildFailedError, count: int) -> InputError | None:
    number, failure = error.get_first_failure()
    if failure.exitcode >= 0:
        return None
    reason = f"process {number} of {count} was killed by {failure.signal_name()}"
    return InputError(f"training: {reason}; each process needs memory for its own copy of the model")
