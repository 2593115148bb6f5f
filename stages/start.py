"""Add your data to the project: say its format, copy it to data/raw, add entries to params.yaml.

python -m stages.start PATH [--name NAME] [--llm MODEL] [--base MODEL]
"""

from pathlib import Path

from retune.core.cli import run
from retune.starting.plan import Workspace
from retune.starting.start import Layout, start


def main(data: str, *, name: str = "", llm: str = "", base: str = "minilm") -> None:
    layout = Layout(
        params=Path("params.yaml"),
        raw=Path("data/raw"),
        excluded=Path("data/excluded"),
        slices=Path("data/slices"),
        outputs=Workspace(data=Path("data"), models=Path("models"), metrics=Path("metrics")),
    )
    start(data, name=name, llm=llm, base=base, layout=layout, say=print)


if __name__ == "__main__":
    run(main)
