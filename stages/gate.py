"""Fail if a tuned model gained too little or forgot too much, according to the verdict that `compare` wrote.

python -m stages.gate --verdict FILE
"""

from pathlib import Path

from retune.comparison import gate
from retune.core.cli import run
from retune.params.compare import Compare


def main(*, verdict: Path) -> None:
    gate.pass_gate(verdict, Compare.read("compare").gate)


if __name__ == "__main__":
    run(main)
