"""Stage `compare`: gain at home and forgetting elsewhere, for `dvc metrics`, `dvc plots` and people.

python -m stages.compare --metrics DIR --scores DIR --summary FILE --by-model DIR --plots DIR --reports DIR
"""

from pathlib import Path

from retune import comparison, files, lineage, report
from retune.cli import run
from retune.params.compare import Compare
from retune.params.eval import Eval


def main(*, metrics: Path, scores: Path, summary: Path, by_model: Path, plots: Path, reports: Path) -> None:
    listed = Eval.read("eval")
    runs = lineage.read_runs(listed)
    metric = Compare.read("compare").metric
    result = comparison.compare(metrics, scores, listed.models, listed.datasets, runs, metric)
    files.write_json(summary, result.summary)
    files.write_json_directory(by_model, comparison.by_model(result))
    files.write_json_directory(plots, comparison.plot_data(result))
    files.write_text(reports / "forgetting.svg", report.heatmap_svg(result))
    files.write_text(reports / "compare.md", report.markdown(result, "forgetting.svg"))


if __name__ == "__main__":
    run(main)
