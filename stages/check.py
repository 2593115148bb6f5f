"""Check params.yaml and that the user's files exist, before anything runs; or show one entry with its defaults.

python -m stages.check
python -m stages.check --show finetune.minilm_science
"""

from pathlib import Path

from retune.check import sections, user_files
from retune.check.checking import check
from retune.core.cli import run
from retune.core.section import read_all


def main(*, show: str = "", excluded: Path = Path("data/excluded"), slices: Path = Path("data/slices")) -> None:
    if show:
        print(sections.show(read_all(), show))
    else:
        user_files.check_files(check(read_all()), excluded, slices)


if __name__ == "__main__":
    run(main)
