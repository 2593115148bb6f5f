"""The report for pull requests, and what the page is given."""

import json
from pathlib import Path

import pytest

from retune.comparison.verdict_file import verdict_json
from retune.core.files import write_json
from retune.doctor.finding import Finding
from retune.report.content import page_content
from retune.report.heatmap import heatmap_svg
from retune.report.markdown import markdown
from retune.report.page import page_html
from tests.support.comparisons import PARAMS, QUERIES, SCORES, compared, concluded, write_project


def test_verdict_and_gate_stand_on_top(tmp_path: Path) -> None:
    lines = markdown(compared(tmp_path), "x.svg").splitlines()
    assert lines[2] == (
        "- `tuned` (from `base`): **forgot**, +0.2000 on home (95 % confidence interval +0.2000 to +0.2000, corrected "
        "p = 0.0015) over 40 queries, improved; forgot elsewhere: farther -0.1000 (-0.1000 to -0.1000). **Gate: failed.**"
    )
    assert lines[4].startswith(
        "**Gate: failed.** Required: a gain of at least 0.0 and a loss elsewhere of at most 0.02"
    )
    assert lines[5] == (
        "- tuned on farther: lost 0.10000 (confidence interval of the change -0.10000 to -0.10000), above the allowed 0.02"
    )


def test_report_without_a_gate_says_so(tmp_path: Path) -> None:
    report = markdown(compared(tmp_path, gate=None), "x.svg")
    assert "There is no gate, because `compare.gate` is null." in report
    assert "Gate: " not in report


def test_findings_have_a_section_only_if_there_are_any(tmp_path: Path) -> None:
    found = compared(tmp_path)
    finding = Finding("mine.home", "1,300 of 2,000 negatives are random.", "They are easy.", "Widen the range.")
    expected = "## Findings\n\n- mine.home: 1,300 of 2,000 negatives are random. They are easy. Widen the range.\n\n## Statistics"
    assert expected in markdown(found, "x.svg", [finding])
    assert "Findings" not in markdown(found, "x.svg")


def test_matrix_marks_what_is_significant(tmp_path: Path) -> None:
    report = markdown(compared(tmp_path), "forgetting.svg")
    assert "| `base` | 0.5000 | 0.4000 | 0.6000 |" in report
    assert "| `tuned` | **0.7000 (+0.2000 ▲)** | 0.4000 (+0.0000 ≈) | 0.5000 (-0.1000 ▼) |" in report
    assert "| `tuned` | `base` | home | +0.2000 |  | -0.0500 | -0.1000 | 40 / 0 |" in report
    assert "| `tuned` | **home** | improved | +0.2000 | +0.2000 to +0.2000 | 0.0005 | 0.0015 |  | 40 |" in report
    assert "](forgetting.svg)" in report
    assert "82 of the 82 queries that changed" in report  # 40 at home, 2 and 40 elsewhere


def test_statistics_that_are_withheld_leave_their_places_empty(tmp_path: Path) -> None:
    few = {model: {name: values[:12] for name, values in datasets.items()} for model, datasets in SCORES.items()}
    report = markdown(compared(tmp_path, few), "x.svg")
    assert (
        "- `tuned` (from `base`): **withheld**, +0.2000 on home, but 12 test queries are fewer than the 30 that"
        in report
    )
    assert "| `tuned` | **home** | withheld | +0.2000 |  |  |  |  | 12 |" in report


def test_published_results_stand_above_ours(tmp_path: Path) -> None:
    given = [
        {"dataset": "home", "name": "a model | published", "values": {"recall_at_10": 0.565, "ndcg_at_10": 0.4}},
        {"dataset": "home", "name": "another", "values": {"recall_at_10": 0.6}},
    ]
    report = markdown(compared(tmp_path, references=given), "x.svg")
    assert "| on home | recall_at_10 | ndcg_at_10 |" in report
    assert "| a model \\| published | 0.5650 | 0.4000 |" in report
    assert "| another | 0.6000 |  |" in report
    assert "| `tuned` | 1.0000 | 0.7000 |" in report


def test_text_of_others_is_no_markup(tmp_path: Path) -> None:
    # a pipe after a backslash, a script, a picture: each stays in one cell as plain text
    source = "a\\|b <script>x</script>\n![x](http://example.com)"
    given = [{"dataset": "home", "name": source, "values": {"ndcg_at_10": 0.4}}]
    report = markdown(compared(tmp_path, references=given), "x.svg")
    assert r"| a\\\|b \<script\>x\</script\> !\[x\](http://example.com) | 0.4000 |" in report


def test_values_of_a_users_slice_are_no_markup(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    inputs.slices.mkdir()
    rows = "".join(f"q{n},{'<b>|' if n < 35 else 'c'}\n" for n in range(QUERIES))
    (inputs.slices / "farther.csv").write_text(f"query_id,kind\n{rows}")
    lines = markdown(concluded(inputs), "x.svg").splitlines()
    assert "| `tuned` | farther | kind: \\<b\\>\\| | 35 | 0.6000 | -0.1000 | -0.1000 to -0.1000 |" in lines


@pytest.mark.slow
def test_p_below_what_is_printed_is_a_bound(tmp_path: Path) -> None:
    # 40 queries changed alike: p is 1 / 20,001, times 3 tests 0.00015
    report = markdown(compared(tmp_path, resamples=20_000), "x.svg")
    assert "| +0.2000 to +0.2000 | < 0.0001 | 0.0001 |" in report


def test_pairs_that_there_are_none_of_have_no_cosines(tmp_path: Path) -> None:
    # every document answers every query: none is left to be drawn at random
    inputs = write_project(tmp_path, SCORES)
    path = inputs.pair_scores / "base/far.json"
    write_json(path, json.loads(path.read_text()) | {"random_pairs": {}})
    assert "| `base` | far | 0.5000 |  |  |" in markdown(concluded(inputs), "x.svg")


def test_floors_of_scores_are_shown_base_against_tuned(tmp_path: Path) -> None:
    report = markdown(compared(tmp_path), "x.svg")
    assert "| `base` | home | 0.5000 | 0.1000 | 0.2000 |" in report
    assert "| `tuned` | farther | 0.5000 | 0.1000 | 0.2000 |" in report


def test_report_of_bases_alone_has_no_verdict(tmp_path: Path) -> None:
    scores = {"base": SCORES["base"], "bm25": SCORES["base"]}
    report = markdown(compared(tmp_path, scores, {}), "x.svg")
    assert "No tuned model is listed." in report


def test_heatmap_shows_every_measurement(tmp_path: Path) -> None:
    drawing = heatmap_svg(compared(tmp_path).comparison)
    assert drawing.startswith("<svg")
    for label in ("0.7000 (+0.2000 ▲)", "0.5000 (-0.1000 ▼)", "0.6000"):
        assert label in drawing


def test_verdict_file_holds_numbers_and_no_texts(tmp_path: Path) -> None:
    found = compared(tmp_path)
    content = json.dumps(verdict_json(found), allow_nan=False)
    assert "answer" not in content
    assert "query 1" not in content
    measurement = json.loads(content)["measurements"][3]
    assert (measurement["model"], measurement["dataset"], measurement["change"], measurement["word"]) == (
        "tuned",
        "home",
        0.2,
        "improved",
    )


def test_verdict_file_holds_the_parameters_that_led_to_it(tmp_path: Path) -> None:
    content = verdict_json(compared(tmp_path, margin=0.03))
    assert content["tuned_models"][0]["parameters"] == {"epochs": 2}
    assert content["parameters"]["seed"] == 13
    assert content["parameters"]["eval"]["datasets"] == ["home", "far", "farther"]
    assert content["parameters"]["compare"] == PARAMS | {
        "margin": 0.03,
        "seeds": {},
        "gate": PARAMS["gate"] | {"seed_spreads": None},
    }


def test_smallest_change_elsewhere_is_called_a_loss_only_if_it_is_one(tmp_path: Path) -> None:
    scores = {model: {"home": values["home"], "far": values["far"]} for model, values in SCORES.items()}
    gained = scores | {"tuned": scores["tuned"] | {"far": [0.45] * QUERIES}}
    lost = scores | {"tuned": scores["tuned"] | {"far": [0.395] * QUERIES}}
    report = markdown(compared(tmp_path / "gained", gained), "x.svg")
    assert "; smallest change elsewhere: far +0.0500 (+0.0500 to +0.0500), improved. Gate: passed." in report
    report = markdown(compared(tmp_path / "lost", lost), "x.svg")
    assert "; largest loss elsewhere: far -0.0050 (-0.0050 to -0.0050), non-inferior. Gate: passed." in report


@pytest.mark.slow
def test_page_is_given_everything_as_json(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    found = concluded(inputs, references=[{"dataset": "far", "name": "others", "values": {"ndcg_at_10": 0.5}}])
    content = json.loads(json.dumps(page_content(found, inputs), allow_nan=False))
    page = page_html(content)
    assert all(text in page for text in ("tuned", "query 39 ", "answer 39 ", "forgot"))
    assert content["tuned_models"][0]["gate"] == "failed"
    assert content["measurements"][0] | {"queries": QUERIES, "p": None, "base": None} == content["measurements"][0]
    tuned = content["measurements"][3]
    assert (tuned["is_home"], tuned["change"], tuned["word"], tuned["p"]) == (True, 0.2, "improved", 0.0015)
    numbers = {"gain": 0.2, "worst_change_elsewhere": -0.1, "backward_transfer": -0.05}
    assert content["tuned_models"][0] | numbers == content["tuned_models"][0]
    assert content["histories"] == [
        {"model": "tuned", "global_step": 1, "loss": 0.9, "dev": None},
        {"model": "tuned", "global_step": 2, "loss": 0.5, "dev": 0.61},
    ]
    assert content["lengths"][1] == {
        "dataset": "home",
        "percentile": 100,
        "document_characters": 90,
        "query_characters": 30,
    }
    assert content["mining"] == [
        {"recipe": "home", "score": 0.1, "positives": 0.0, "negatives": 0.5, "random_pairs": 0.5}
    ]
    assert content["audit"] == [
        {"recipe": "home", "figure": "positive score p50", "value": 0.5},
        {"recipe": "home", "figure": "queries", "value": 7},
    ]
    assert content["pair_scores"][0] == {
        "model": "base",
        "dataset": "home",
        "score": 0.25,
        "positives": 0.0,
        "random_pairs": 1.0,
    }
    assert content["references"] == [{"dataset": "far", "name": "others", "metric": "ndcg_at_10", "value": 0.5}]


def test_page_names_every_document_once(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    found = concluded(inputs)
    changes = page_content(found, inputs)["changes"]
    assert len(changes["documents"]) == len(set(changes["documents"]))
    assert changes["left_out"] == 0
    row = next(row for row in changes["rows"] if row["dataset"] == "far" and row["query_id"] == "q39")
    assert row["query"].startswith("query 39 ")
    assert (row["base_score"], row["score"], row["change"], row["relevant"]) == (0.4, 0.39, -0.01, 1)
    ((wanted, base_rank, rank),) = row["wanted"]
    assert (changes["documents"][wanted][:9], base_rank, rank) == ("answer 39", 3, 3)
    found_first, is_relevant = row["found"]
    assert (changes["documents"][found_first], is_relevant) == ("answer 0 ", False)
