"""Check all of params.yaml, and that the raw data is there, before anything runs.

python -m stages.check
"""

from retune.check import checking
from retune.core.cli import run
from retune.core.section import read_all


def main() -> None:
    checking.check_files(checking.check(read_all()))


if __name__ == "__main__":
    run(main)
