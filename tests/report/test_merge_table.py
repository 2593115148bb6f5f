"""The report shows which weight each merge chose, and what the others would have done."""

from pathlib import Path

import pytest

from retune.comparison.lineage import TunedModel
from retune.comparison.result import Conclusion
from retune.core.errors import InputError
from retune.core.files import write_json
from retune.merging.choice import choose, metrics
from retune.report.content import page_content
from retune.report.markdown import markdown
from retune.report.page import page_html
from tests.merging.test_choice import curve, entry
from tests.support.comparisons import SCORES, TUNED, concluded, write_project

MERGED = TUNED | {"between": TunedModel("base", "home", ("home",), {}, ("home",), ("tuned",))}
ALL = SCORES | {"between": SCORES["tuned"]}


@pytest.fixture
def found(tmp_path: Path) -> Conclusion:
    inputs = write_project(tmp_path, ALL)
    points = curve()
    write_json(inputs.merges / "between.json", metrics(points, choose(points), entry()))
    return concluded(inputs, ALL, MERGED)


def test_table_has_the_choice_and_the_next_weight(found: Conclusion) -> None:
    report = markdown(found, "x.svg")
    assert "## Merged models" in report
    assert "| `between` | point | 0.1 | 0.5 | +0.2000 | -0.0500 | 1 | -0.2000 |" in report
    assert "- `between` (from `base`): " in report


@pytest.mark.slow
def test_page_draws_the_curve(found: Conclusion, tmp_path: Path) -> None:
    inputs = write_project(tmp_path, ALL)
    page = page_html(page_content(found, inputs))
    section = page[page.index('<section id="merges">') : page.index("</section>", page.index('<section id="merges">'))]
    for weight, gain, change in (
        ("0", "+0.0000", "+0.0000"),
        ("0.5", "+0.2000", "-0.0500"),
        ("1", "+0.3000", "-0.2000"),
    ):
        assert f"weight {weight}: gain at home {gain}" in section
        assert f"weight {weight}: worst guard {change}" in section


def test_merge_that_fell_back_to_its_base_is_named_and_fails_the_gate(tmp_path: Path) -> None:
    scores = SCORES | {"between": SCORES["base"]}
    inputs = write_project(tmp_path, scores)
    points = curve(margin=0.0)
    write_json(inputs.merges / "between.json", metrics(points, choose(points), entry(margin=0.0)))
    report = markdown(concluded(inputs, scores, MERGED), "x.svg")
    assert "**`between` is its base itself**" in report
    assert (
        "between on home: did not change (confidence interval of the change +0.00000 to +0.00000); no weight of the"
        in report
    )
    [line] = [line for line in report.splitlines() if line.startswith("- `between` (from")]
    assert "**Gate: failed.**" in line


@pytest.mark.slow
def test_project_without_merges_does_not_mention_them(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    result = concluded(inputs)
    assert "Merged models" not in markdown(result, "x.svg")
    assert 'id="merges"' not in page_html(page_content(result, inputs))
    assert "merged models" not in page_html(page_content(result, inputs))


def test_missing_curve_is_named(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, ALL)
    with pytest.raises(
        InputError, match="between.json: expected the curve of between, found none; run dvc repro merge@bet"
    ):
        concluded(inputs, ALL, MERGED)
