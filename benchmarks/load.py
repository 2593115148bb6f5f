"""Time training steps alone and beside other work, with retune's way of waiting and with OpenMP's own.

    python -m benchmarks.load [--data FOLDER]

The other work is one endless loop, then two. Threads of OpenMP wait for each other many times in a step. By default
they spin while they wait, and so take the processor from the very thread they wait for. Seconds a step are medians
without the first steps.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import stages
from benchmarks import training
from benchmarks.machine import write_results
from benchmarks.training import BATCH

STEPS = 6
LOOPS = (0, 1, 2)
OPENMP: dict[str, str] = {}  # as the library comes
NAMES = {0: "alone", 1: "beside one busy loop", 2: "beside two busy loops"}


def main() -> None:
    """Train under each load with each way of waiting, and write the results."""
    parser = argparse.ArgumentParser(description="Measure training beside other work.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        training.prepare(work, options.data, STEPS * BATCH)
        for loops in LOOPS:
            with _busy(loops):
                ours, theirs = (_seconds_a_step(work, variables) for variables in (stages.WAITING, OPENMP))
            name = f"step_{loops}_vs_openmp"
            cases.append({"name": name, "ours": ours, "peer": theirs, "ratio": theirs / ours, "unit": "s/step"})
            print(f"{NAMES[loops]:24} {ours:8.2f} {theirs:8.2f} s/step", flush=True)
    write_results("load", cases)


def _seconds_a_step(work: Path, variables: Mapping[str, str]) -> float:
    return training.in_process(work, "ours", 0, **variables)["seconds_a_step"]


@contextmanager
def _busy(loops: int) -> Iterator[None]:
    """Keep as many processes busy as there are loops."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
