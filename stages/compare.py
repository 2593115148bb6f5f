"""Stage `compare`: the verdict, for `dvc metrics`, `dvc plots`, the gate and people.

python -m stages.compare --data DIR --metrics DIR --reports DIR
"""

from pathlib import Path

from retune import comparison, files, heatmap, lineage, page, page_content, plots, report, run_verdicts
from retune.cli import run
from retune.comparison_inputs import Inputs
from retune.conclusion import conclude
from retune.params.compare import Compare
from retune.params.eval import Eval
from retune.params.section import read_value


def main(*, data: Path, metrics: Path, reports: Path) -> None:
    inputs, listed = Inputs.under(data, metrics), Eval.read("eval")
    found = conclude(inputs, listed, lineage.read_runs(listed), Compare.read("compare"), read_value("seed"))
    files.write_text(reports / "index.html", page.page_html(page_content.page_content(found, inputs)))  # reads on
    files.write_json(metrics / "summary.json", comparison.summarise(found.comparison))
    files.write_json(metrics / "verdict.json", run_verdicts.verdict_json(found.comparison, found.findings, found.runs))
    files.write_json_directory(metrics / "by_model", comparison.by_model(found.comparison))
    files.write_json_directory(metrics / "plots", plots.plot_data(found.comparison, found.runs, found.curves))
    files.write_text(reports / "forgetting.svg", heatmap.heatmap_svg(found.comparison))
    files.write_text(reports / "compare.md", report.markdown(found, "forgetting.svg"))


if __name__ == "__main__":
    run(main)
