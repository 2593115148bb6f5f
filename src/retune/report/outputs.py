"""The files of a comparison: for `dvc metrics`, for `dvc plots`, for the gate and for people."""

from pathlib import Path

from retune.comparison.compare import by_model, summarise
from retune.comparison.model_verdicts import verdict_json
from retune.comparison.paths import Inputs
from retune.comparison.result import Conclusion
from retune.core.files import write_json, write_json_directory, write_text
from retune.report.content import page_content
from retune.report.heatmap import heatmap_svg
from retune.report.markdown import markdown
from retune.report.page import page_html
from retune.report.plots import plot_data


def write_outputs(found: Conclusion, inputs: Inputs, *, metrics: Path, reports: Path) -> None:
    """Write the page first, which reads further inputs: what is wrong with them leaves no output half-new."""
    write_text(reports / "index.html", page_html(page_content(found, inputs)))
    write_json(metrics / "summary.json", summarise(found.comparison))
    write_json(metrics / "verdict.json", verdict_json(found.comparison, found.findings, found.runs))
    write_json_directory(metrics / "by_model", by_model(found.comparison))
    write_json_directory(metrics / "plots", plot_data(found.comparison, found.runs, found.curves))
    write_text(reports / "forgetting.svg", heatmap_svg(found.comparison))
    write_text(reports / "compare.md", markdown(found, "forgetting.svg"))
