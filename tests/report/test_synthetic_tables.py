"""Everything that is shown of a test set without labels says so, and synthetic data sets have their part of the reports."""

import json
import re
from pathlib import Path

import pytest

from retune.comparison.compare import by_model
from retune.comparison.gate import read_measurements
from retune.comparison.lineage import TunedModel
from retune.comparison.result import Conclusion
from retune.comparison.verdict_file import verdict_json
from retune.core.errors import InputError
from retune.core.files import write_json
from retune.doctor.examination import examine
from retune.doctor.state import read_state
from retune.report.content import page_content
from retune.report.heatmap import heatmap, heatmap_svg
from retune.report.markdown import markdown
from retune.report.page import page_html
from retune.report.plots import plot_data
from tests.support.comparisons import SCORES, TUNED, concluded, write_project, write_synthetic
from tests.support.patients import PARAMETERS

SHOWN = "farther (synthetic test queries)"
TUNED_ON_MADE = {"tuned": TunedModel("base", "farther", ("home",), PARAMETERS, ("farther",))}


def found(folder: Path, tuned: dict[str, TunedModel] = TUNED) -> Conclusion:
    """Compare on three data sets, of which `farther` is synthetic."""
    inputs = write_project(folder, SCORES)
    reference = {"dataset": "farther", "name": "published", "values": {"ndcg_at_10": 0.4}}
    synthesize = write_synthetic(inputs, "farther")
    return concluded(inputs, tuned=tuned, synthesize=synthesize, references=[reference])


def bare(text: str) -> list[str]:
    """Return every mention of the synthetic data set in a line of figures that does not say what it is."""
    lines = [line for line in text.splitlines() if not line.startswith(("### ", "The queries were"))]
    return re.findall(r".*\bfarther\b(?! \(synthetic test queries\)).*", "\n".join(lines))


@pytest.mark.parametrize("tuned", [TUNED, TUNED_ON_MADE])
def test_every_mention_in_the_markdown_report_says_it(tuned: dict[str, TunedModel], tmp_path: Path) -> None:
    report = markdown(found(tmp_path, tuned), "x.svg")
    mentions = [line for line in bare(report) if "the synthetic test queries of farther" not in line]
    assert mentions == []
    assert f"| model | home | far | {SHOWN} |" in report
    assert f"| on {SHOWN} | ndcg_at_10 |" in report
    assert "A data set marked as synthetic test queries has no labels" in report


def test_verdict_at_home_says_it(tmp_path: Path) -> None:
    result = found(tmp_path, TUNED_ON_MADE)
    assert "**worse**, -0.1000 on the synthetic test queries of farther (95 % confidence" in markdown(result, "x.svg")
    assert f"| `tuned` | `base` | {SHOWN} | -0.1000 |" in markdown(result, "x.svg")
    assert page_content(result, write_project(tmp_path, SCORES))["tuned_models"][0]["home"] == SHOWN


@pytest.mark.slow
def test_report_without_synthetic_test_queries_does_not_mention_them(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    assert "ynthetic" not in markdown(concluded(inputs), "x.svg")
    assert "ynthetic" not in re.sub(
        r"<style>.*?</style>", "", page_html(page_content(concluded(inputs), inputs)), flags=re.S
    )
    made = markdown(concluded(inputs, synthesize=write_synthetic(inputs, "made")), "x.svg")  # made, not evaluated
    assert "## Synthetic data sets" in made
    assert "synthetic test queries" not in made


def test_verdict_gate_and_metrics_say_it(tmp_path: Path) -> None:
    result = found(tmp_path)
    verdict = verdict_json(result)
    rows = {row["dataset"]: row["is_synthetic"] for row in verdict["measurements"]}
    assert rows == {"home": False, "far": False, "farther": True}
    assert [rule["sentence"].split(":")[0] for rule in verdict["gate"]][-1] == f"tuned on {SHOWN}"
    write_json(tmp_path / "verdict.json", verdict)
    assert read_measurements(tmp_path / "verdict.json")[2].test_set == SHOWN
    assert list(by_model(result.comparison)["tuned"]) == ["home", "far", SHOWN]
    assert verdict["tuned_models"][0]["sentence"].endswith(f"forgot elsewhere: {SHOWN} -0.1000 (-0.1000 to -0.1000)")


@pytest.mark.slow
def test_plots_and_picture_say_it(tmp_path: Path) -> None:
    result = found(tmp_path)
    plots = plot_data(result)
    assert plots["forgetting"][2]["dataset"] == SHOWN
    assert plots["scores"][2]["measurement"] == f"base on {SHOWN}"
    assert heatmap(result.comparison)["data"]["values"][2]["dataset"] == "farther\n(synthetic test queries)"
    picture = heatmap_svg(result.comparison)
    assert ">farther</tspan>" in picture
    assert ">(synthetic test queries)</tspan>" in picture


@pytest.mark.slow
def test_page_says_it_in_every_section(tmp_path: Path) -> None:
    content = page_content(found(tmp_path), write_project(tmp_path, SCORES))
    figures = json.dumps({name: part for name, part in content.items() if name not in ("synthetic", "changes")})
    assert bare(figures) == []
    assert {row["dataset"] for row in content["changes"]["rows"]} == {"home", "far", SHOWN}
    assert bare(page_html(content | {"synthetic": []})) == []


def test_findings_say_it(tmp_path: Path) -> None:
    # detectable 0.02 with 40 queries, and the margin is 0.01: 40 * (0.02 / 0.01) ** 2 = 160
    row = {"model": "tuned", "dataset": "farther", "queries": 40, "score": 0.6, "change": 0.0, "mde": 0.02}
    verdict = {"measurements": [row | {"word": "no difference shown", "is_synthetic": True}]}
    state = read_state(tmp_path / "metrics", ["base", "tuned"], ["farther"], {}, 0.01, verdict)
    [finding] = [finding for finding in examine(state) if "detect" in finding.text]
    assert finding.about == "synthesize.farther"
    assert finding.fact.startswith("40 synthetic test queries detect changes of tuned from 0.0200 on")
    assert finding.advice == "Use about 160 synthetic test queries."
    assert state.test_set("farther") == SHOWN


def test_markdown_report_shows_kinds_reasons_and_the_language_model_without_texts(tmp_path: Path) -> None:
    report = markdown(found(tmp_path), "x.svg")
    start = report.index("## Synthetic data sets")
    assert report[start : report.index("`reports/index.html`")] == (
        "## Synthetic data sets\n\n### farther\n\n"
        "The queries were taken from 500 documents of home. 1,000 of 1,203 drafted queries were kept, for 480 documents. "
        "7 documents were shown in part.\n\n"
        "| kind | drafted | kept | words, 5th percentile | median | 95th percentile |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| sentence | 1,200 | 1,000 | 4 | 8 | 20 |\n"
        "| title | 3 | 0 |  |  |  |\n\n"
        "| rejected because | queries |\n| --- | ---: |\n| sentence too short | 200 |\n| repeated query | 3 |\n\n"
        "Language model, judge: 9 of 10 requests answered, with about 4,000 input and 300 output tokens, at a cost of "
        "0.12.\n\n"
    )


@pytest.mark.slow
def test_page_shows_samples_with_their_documents_and_rejects_with_their_reasons(tmp_path: Path) -> None:
    page = page_html(page_content(found(tmp_path), write_project(tmp_path, SCORES)))
    section = page[page.index('<section id="synthetic">') : page.index('<section id="mining">')]
    assert "<summary>1 of the kept queries, with their documents</summary>" in section
    assert "<td>what is an &lt;b&gt;answer&lt;/b&gt;</td><td>the answer word" in section
    assert "…</td><td>test</td>" in section  # cut to 400 characters
    assert "<td>too few</td><td>another document</td><td>sentence too short</td>" in section


def test_writer_is_named(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    llm = {"model": "writer*7b", "temperature": 0.0, "max_tokens": 9, "timeout_s": 9.0}
    changes = {"method": "llm", "kinds": {"title": 1.0}, "generation": {"document_words": 9}, "llm": llm}
    report = markdown(concluded(inputs, synthesize=write_synthetic(inputs, "made", **changes)), "x.svg")
    assert r"The queries were written by writer\*7b for 500 documents of home." in report


@pytest.mark.slow
def test_missing_audit_or_samples_are_one_clear_line(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    synthesize = write_synthetic(inputs, "made")
    (inputs.datasets / "made" / "samples.parquet").unlink()
    with pytest.raises(InputError, match="samples.parquet: expected a Parquet file, found none; run the stage"):
        concluded(inputs, synthesize=synthesize)
    (inputs.datasets / "made" / "audit.json").unlink()
    with pytest.raises(InputError, match="audit.json: expected the audit of made, found none; run dvc repro synth"):
        concluded(inputs, synthesize=synthesize)
