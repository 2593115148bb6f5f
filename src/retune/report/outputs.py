"""Write the files of a comparison: for `dvc metrics`, for `dvc plots`, for the gate and for people."""

import logging
from pathlib import Path
from typing import Any

from retune.comparison.compare import by_model, summarise
from retune.comparison.paths import InputFolders
from retune.comparison.result import Conclusion
from retune.comparison.verdict_file import verdict_json
from retune.core.files import write_json, write_json_directory, write_text
from retune.doctor.examination import examine
from retune.doctor.state import State, read_state
from retune.report.content import page_content
from retune.report.heatmap import heatmap_svg
from retune.report.markdown import markdown
from retune.report.page import page_html
from retune.report.plots import plot_data

LOG = logging.getLogger(__name__)


def write_outputs(found: Conclusion, inputs: InputFolders, *, metrics: Path, reports: Path) -> None:
    """Write all files, and log the findings of the doctor.

    The page is first: it reads more inputs, and an error in them leaves all outputs unchanged.
    """
    verdict = verdict_json(found)
    findings = examine(_state(found, metrics, verdict))
    write_text(reports / "index.html", page_html(page_content(found, inputs, findings)))
    write_json(metrics / "summary.json", summarise(found.comparison))
    write_json(metrics / "verdict.json", verdict)
    write_json_directory(metrics / "by_model", by_model(found.comparison))
    write_json_directory(metrics / "plots", plot_data(found))
    write_text(reports / "forgetting.svg", heatmap_svg(found.comparison))
    write_text(reports / "compare.md", markdown(found, "forgetting.svg", findings))
    for finding in findings:
        LOG.info("finding: %s", finding.text)


def _state(found: Conclusion, metrics: Path, verdict: dict[str, Any]) -> State:
    comparison, listed = found.comparison, found.parameters["eval"]
    margin = comparison.params.margin
    return read_state(metrics, listed["models"], listed["datasets"], comparison.tuned_models, margin, verdict)
