"""Time each stage of the current params.yaml, and its peak memory.

    python -m benchmarks.stages

Runs one instance of every stage (the last of its kind) as DVC would, into a temporary folder, so nothing in the
working tree changes. What it reads must be there: run `dvc repro` first.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dvc.repo import Repo

from benchmarks.machine import hardware, versions

RESULTS = Path("benchmarks/results/stages.json")


def main() -> None:
    """Measure, print a table and write the results."""
    commands = _commands()
    cases = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, command in commands.items():
            seconds, peak_gb = _measure(_redirect(command, Path(scratch) / name), name)
            cases += [_case(f"{name} time", seconds, "s"), _case(f"{name} peak memory", peak_gb, "GB")]
            print(f"{name:45} {seconds:8.1f} s {peak_gb:8.2f} GB", flush=True)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    report = {"hardware": hardware(), "versions": versions(), "cases": cases}
    RESULTS.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(f"written to {RESULTS}")


def _commands() -> dict[str, list[str]]:
    """Return the resolved command of one instance of every stage, in the order of the graph."""
    with Repo() as repo:
        last = {stage.addressing.split("@")[0]: stage for stage in repo.index.stages}
        return {stage.addressing: shlex.split(stage.cmd) for stage in last.values()}


def _redirect(command: list[str], scratch: Path) -> list[str]:
    """Let a stage's outputs go to a scratch folder; the rest it only reads."""
    outputs = {"--out", "--history", "--summary", "--by-model", "--plots", "--reports", "--means"}
    if "--out" in command or "--means" in command:  # what compare calls metrics and scores, it reads
        outputs |= {"--metrics", "--scores"}
    changed = [sys.executable, *command[1:]]
    for position, argument in enumerate(command):
        if argument in outputs:
            changed[position + 1] = str(scratch / command[position + 1])
    return changed


def _measure(command: list[str], stage: str) -> tuple[float, float]:
    """Return the seconds a command takes and its peak resident memory in GB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | {"DVC_STAGE": stage}, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"error: {stage}: exit status {process.returncode}; run dvc repro first")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return time.perf_counter() - start, usage.ru_maxrss * unit / 2**30


def _case(name: str, value: float, unit: str) -> dict[str, object]:
    return {"name": name, "ours": round(value, 2), "peer": None, "ratio": None, "unit": unit}


if __name__ == "__main__":
    main()
