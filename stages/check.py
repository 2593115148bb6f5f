"""Check params.yaml and that the raw data exists, before anything runs; or show one entry with its defaults.

python -m stages.check
python -m stages.check --show finetune.minilm_science
"""

from retune.check import checking
from retune.core.cli import run
from retune.core.section import read_all


def main(*, show: str = "") -> None:
    if show:
        print(checking.show(read_all(), show))
    else:
        checking.check_files(checking.check(read_all()))


if __name__ == "__main__":
    run(main)
