"""Time each stage of the current params.yaml, and its peak memory.

    python -m benchmarks.stages

Runs one instance of every stage (the last of its kind) as DVC would, into a temporary folder, so nothing in the
working tree changes. What it reads must be there: run `dvc repro` first.
"""

import shlex
import sys
import tempfile
from pathlib import Path

from dvc.repo import Repo

from benchmarks.machine import case, measure, write_results


def main() -> None:
    """Measure, print a table and write the results."""
    commands = _commands()
    cases = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, command in commands.items():
            seconds, peak_gb = measure(_redirect(command, Path(scratch) / name), DVC_STAGE=name)
            cases += [case(f"{name} time", seconds, "s"), case(f"{name} peak memory", peak_gb, "GB")]
            print(f"{name:45} {seconds:8.1f} s {peak_gb:8.2f} GB", flush=True)
    write_results("stages", cases)


def _commands() -> dict[str, list[str]]:
    """Return the resolved command of one instance of every stage, in the order of the graph."""
    with Repo() as repo:
        last = {stage.addressing.split("@")[0]: stage for stage in repo.index.stages}
        return {stage.addressing: shlex.split(stage.cmd) for stage in last.values()}


def _redirect(command: list[str], scratch: Path) -> list[str]:
    """Let a stage's outputs go to a scratch folder; the rest it only reads."""
    outputs = {"--out", "--history", "--summary", "--by-model", "--plots", "--means"}
    outputs |= {"--trec", "--pair-scores"}
    if "--out" in command or "--means" in command:  # what compare calls metrics and scores, it reads
        outputs |= {"--metrics", "--lengths", "--audit", "--scores"}
    changed = [sys.executable, *command[1:]]
    for position, argument in enumerate(command):
        if argument in outputs:
            changed[position + 1] = str(scratch / command[position + 1])
    return changed


if __name__ == "__main__":
    main()
