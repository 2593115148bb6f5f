"""Stage `compare`: compare tuned models with their bases; write the verdict as metrics, plots and reports.

python -m stages.compare --data DIR --metrics DIR --out DIR
"""

from pathlib import Path

from retune.comparison.lineage import read_tuned_models
from retune.comparison.paths import InputFolders
from retune.comparison.result import conclude
from retune.core.cli import run
from retune.core.section import read_value
from retune.params.compare import Compare
from retune.params.eval import Eval
from retune.params.synthesize import Synthesize
from retune.report.outputs import write_outputs


def main(*, data: Path, metrics: Path, out: Path) -> None:
    inputs, listed = InputFolders.under(data, metrics), Eval.read("eval")
    tuned_models, synthetic = read_tuned_models(listed), Synthesize.read_entries("synthesize")
    result = conclude(inputs, listed, tuned_models, synthetic, Compare.read("compare"), read_value("seed"))
    write_outputs(result, inputs, metrics=metrics, reports=out)


if __name__ == "__main__":
    run(main)
