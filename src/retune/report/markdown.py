"""The report of a comparison for a pull request, in Markdown; the verdict is first."""

from collections.abc import Sequence

from retune.comparison.compare import Comparison
from retune.comparison.gate import GateResult
from retune.comparison.model_verdicts import ModelVerdict
from retune.comparison.result import Conclusion
from retune.comparison.verdict import SYNTHETIC
from retune.comparison.wording import MARKS, SEEDS, gate_rules
from retune.doctor.examination import lines
from retune.doctor.finding import Finding
from retune.params.compare import Gate
from retune.report.export_table import export_table
from retune.report.merge_table import merge_table
from retune.report.synthetic_tables import synthetic_sets
from retune.report.tables import (
    matrix,
    pairs,
    references,
    seed_spreads,
    similarities,
    statistics,
    statistics_note,
    tuned_models,
    weakest_slices,
)

NOTE = (
    f"A data set marked as {SYNTHETIC} has no labels: its test queries were made from its documents, and a model may "
    "look better on them than on the queries of people."
)


def markdown(found: Conclusion, picture: str, findings: Sequence[Finding] = ()) -> str:
    """Return the report.

    Args:
        found: The results of the comparison.
        picture: The heatmap's path, relative to the report.
        findings: What the doctor found.
    """
    comparison, params, verdicts = found.comparison, found.comparison.params, found.verdicts
    signs = ", ".join(f"{sign} {' or '.join(words)}" for sign, words in _words_by_sign().items())
    sections = [
        [f"# Verdict by {params.metric}"],
        [_line(verdict) for verdict in verdicts],
        _gate(params.gate, found.gate_results),
        [f"![{params.metric} by model and data set]({picture})"],
        matrix(comparison),
        [
            "The change from the model's base is in brackets. **Bold** marks the data set that the model was tuned "
            f"for. {signs}."
        ],
        [NOTE] if any(measurement.is_synthetic for measurement in comparison.measurements) else [],
        tuned_models(comparison, verdicts) if verdicts else ["No tuned model is listed."],
        [
            "The gain is the change on the data set that the model was tuned for. The changes elsewhere are those on "
            "the other data sets; a negative change is a loss. The share of the best gain compares models with the "
            "same base and home. The last column counts the test queries at home that score better and worse than "
            "with the base."
        ],
        _titled("Merged models", merge_table(found.merge_curves)),
        _titled("Exports", export_table(found.exports, verdicts)),
        _titled("Findings", lines(findings)),
        _statistics(comparison) if verdicts else [],
        _titled("Models against each other", pairs(comparison, found.pairs)),
        _titled("Seeds", seed_spreads(comparison)),
        _titled("Published results", references(comparison, found.tables)),
        _titled("Weakest slices", weakest_slices(comparison, found.details.slices, verdicts)),
        _titled("Cosines of relevant and random pairs", similarities(comparison, found.pair_scores)),
        _titled("Synthetic data sets", synthetic_sets(found.synthetic_sets)),
        [
            f"`reports/index.html` shows all slices, and {len(found.details.changes):,} of the "
            f"{found.details.num_changed:,} queries that changed, with the documents wanted and found."
        ],
    ]
    return "\n\n".join("\n".join(section).rstrip() for section in sections if section) + "\n"


def _line(verdict: ModelVerdict) -> str:
    gate = {"passed": " Gate: passed.", "failed": " **Gate: failed.**", None: ""}[verdict.gate]
    return f"- `{verdict.model}` (from `{verdict.base}`): **{verdict.word}**, {verdict.sentence}.{gate}"


def _gate(gate: Gate | None, results: Sequence[GateResult]) -> list[str]:
    if gate is None:
        return ["There is no gate, because `compare.gate` is null."]
    failed = [f"- {result.sentence}" for result in results if not result.holds]
    result = f"**Gate: {'failed' if failed else 'passed'}.**"
    return [f"{result} {gate_rules(gate)}", *failed]


def _statistics(comparison: Comparison) -> list[str]:
    return ["## Statistics", "", *statistics(comparison), "", f"{statistics_note(comparison)} {SEEDS}"]


def _words_by_sign() -> dict[str, list[str]]:
    words: dict[str, list[str]] = {}
    for word, mark in MARKS.items():
        words.setdefault(mark.sign, []).append(word)
    return words


def _titled(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "", *lines] if lines else []
