"""Stage `finetune`: fine-tune a model on mined examples.

python -m stages.finetune NAME --base DIR --mined DIR --dev DIR --guide DIR --out DIR --history FILE
"""

from pathlib import Path

from retune.core.cli import run
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.params.finetune import Finetune
from retune.training import finetune
from retune.training.spec import Task


def main(name: str, *, base: Path, mined: Path, dev: Path, guide: Path, out: Path, history: Path) -> None:
    params, compute = Finetune.read(f"finetune.{name}"), Compute.read("compute")
    seed = read_value("seed") if params.seed is None else params.seed
    task = Task(base=base, mined=mined, dev=dev, params=params, compute=compute, seed=seed, guide=guide)
    finetune.finetune(task, out, history)


if __name__ == "__main__":
    run(main)
