"""Stage `fuse`: join two models whose rankings become one.

python -m stages.fuse NAME --first DIR --second DIR --out DIR
"""

from pathlib import Path

from retune.core.cli import run
from retune.params.fuse import Fuse
from retune.retrieval.system_directory import write_fuse


def main(name: str, *, first: Path, second: Path, out: Path) -> None:
    write_fuse(Fuse.read(f"fuse.{name}"), first, second, out)


if __name__ == "__main__":
    run(main)
