"""Replace params.yaml by a preset, unless that would lose changes.

python -m stages.use NAME --presets DIR --params FILE
"""

from pathlib import Path

from retune.check.presets import use
from retune.core.cli import run


def main(name: str, *, presets: Path, params: Path) -> None:
    use(name, presets, params)


if __name__ == "__main__":
    run(main)
