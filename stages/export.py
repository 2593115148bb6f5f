"""Stage `export`: write a model in another format, and check that its vectors are the same.

python -m stages.export NAME --model DIR --dataset DIR --out DIR --metrics FILE
"""

from pathlib import Path

from retune.core.cli import run
from retune.core.files import write_json
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.exporting.task import Task
from retune.params.export import Export


def main(name: str, *, model: Path, dataset: Path, out: Path, metrics: Path) -> None:
    task = Task(model, dataset, Export.read(f"export.{name}"), Compute.read("compute"), read_value("seed"))
    from retune.exporting.export import export  # loads the libraries of models

    metrics.unlink(missing_ok=True)  # of an earlier export, if this one is refused
    write_json(metrics, export(task, out))


if __name__ == "__main__":
    run(main)
