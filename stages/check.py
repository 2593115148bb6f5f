"""Check params.yaml, the variables RETUNE_* and that the user's files exist; or show one entry with its defaults.

python -m stages.check
python -m stages.check --show finetune.minilm_science
"""

from pathlib import Path

from retune.check import sections, user_files
from retune.check.checking import check
from retune.core.cli import run
from retune.core.local_settings import read_local_settings
from retune.core.section import read_all


def main(*, show: str = "", excluded: Path = Path("data/excluded"), slices: Path = Path("data/slices")) -> None:
    if show:
        print(sections.show(read_all(), show))
    else:
        read_local_settings()
        user_files.check_files(check(read_all()), excluded, slices)


if __name__ == "__main__":
    run(main)
