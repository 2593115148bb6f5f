"""Stage `merge`: merge a base with one or two models that were tuned from it.

python -m stages.merge NAME --base DIR --tuned DIR --tuned-2 DIR --dev DIR --guard DIR --guard-2 DIR --out DIR
--curve FILE
"""

from pathlib import Path

from retune.core.cli import run
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.merging.task import Task
from retune.params.merge import Merge


def main(
    name: str, *, base: Path, tuned: Path, tuned_2: Path, dev: Path, guard: Path, guard_2: Path, out: Path, curve: Path
) -> None:
    models, datasets = dict.fromkeys([tuned, tuned_2]), dict.fromkeys([dev, guard, guard_2])
    task = Task(base, [*models], [*datasets], Merge.read(f"merge.{name}"), Compute.read("compute"), read_value("seed"))
    from retune.merging.merge import merge  # loads the libraries of training

    merge(task, out, curve)


if __name__ == "__main__":
    run(main)
