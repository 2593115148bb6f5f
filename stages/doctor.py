"""Print what an expert would point out in metrics/ and params.yaml; a command, not a stage of dvc.yaml.

python -m stages.doctor
"""

from pathlib import Path

from retune.comparison.lineage import trace_all
from retune.core.cli import run
from retune.doctor.examination import describe
from retune.doctor.state import read_state
from retune.params.compare import Compare
from retune.params.eval import Eval


def main(*, metrics: Path = Path("metrics")) -> None:
    listed, margin = Eval.read("eval"), Compare.read("compare").margin
    print(describe(read_state(metrics, listed.models, listed.datasets, trace_all(listed), margin)))


if __name__ == "__main__":
    run(main)
