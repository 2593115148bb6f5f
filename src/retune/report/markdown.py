"""Write a comparison for people: Markdown for a pull request, the verdict first."""

from collections.abc import Sequence

from retune.comparison.compare import Comparison
from retune.comparison.gate import Finding
from retune.comparison.model_verdicts import RunVerdict
from retune.comparison.result import Conclusion
from retune.comparison.significance import POWER
from retune.params.compare import Gate
from retune.report.tables import cells, floors, matrix, references, runs, slices


def markdown(found: Conclusion, picture: str) -> str:
    """Return the report; `picture` is the heatmap's path from it."""
    comparison, params = found.comparison, found.comparison.params
    sections = [
        [f"# Verdict by {params.metric}"],
        [_line(run) for run in found.runs],
        _gate(params.gate, found.findings),
        [f"![{params.metric} by model and data set]({picture})"],
        matrix(comparison),
        [
            "In brackets the change from the model's base; **bold** is the data set the model was tuned for. "
            "▲ improved, ▼ worse or forgot, ≈ non-inferior, ? withheld, no mark: no difference shown."
        ],
        runs(comparison, found.runs) if found.runs else ["No fine-tuned model is listed."],
        [
            "Gain: change at home. Forgetting: what was lost on the other data sets; below 0 it became better there. "
            "Of the best gain: the share of the gain of the best run with this base and home. Better and worse: test "
            "queries at home that score higher and lower than with the base."
        ],
        _statistics(comparison) if found.runs else [],
        _titled("Figures of others", references(comparison, found.tables)),
        _titled("Where each run changed least", slices(found.details.slices, found.runs)),
        _titled("Cosines of relevant and random pairs", floors(found.pair_scores)),
        [
            f"Parts of the queries, and {len(found.details.changes):,} of {found.details.num_changed:,} changed "
            "queries with what was wanted and found: `reports/index.html`."
        ],
    ]
    return "\n\n".join("\n".join(lines).rstrip() for lines in sections if lines) + "\n"


def _line(run: RunVerdict) -> str:
    gate = {"passed": " Gate: passed.", "failed": " **Gate: failed.**", None: ""}[run.gate]
    return f"- `{run.run}` (from `{run.base}`): **{run.word}**, {run.sentence}.{gate}"


def _gate(gate: Gate | None, findings: Sequence[Finding]) -> list[str]:
    if gate is None:
        return ["No gate: `compare.gate` is null."]
    rules = {"a gain of at least": gate.min_gain, "a forgetting of at most": gate.max_forgetting}
    asked = " and ".join(f"{words} {limit}" for words, limit in rules.items() if limit is not None) or "nothing"
    failed = [f"- {finding.sentence}" for finding in findings if not finding.holds]
    result = f"**Gate: {'failed' if failed else 'passed'}.**"
    return [f"{result} Asked for is {asked}, at the cautious end of the confidence interval.", *failed]


def _statistics(comparison: Comparison) -> list[str]:
    params = comparison.params
    tested = sum(cell.p is not None for cell in comparison.cells)
    return [
        "## Statistics",
        "",
        *cells(comparison),
        "",
        f"Intervals: {100 * params.confidence:g} %, bootstrap. p: paired randomisation test; corrected by Holm for "
        f"{tested} tests, significant up to {params.significance:g}. Non-inferior: elsewhere, and the interval's lower "
        f"end is above -{params.margin:g}. Detectable: the change that so many queries would show in {100 * POWER:.0f} "
        "of 100 cases.",
    ]


def _titled(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "", *lines] if lines else []
