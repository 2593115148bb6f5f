"""The synthetic data sets of a project in figures, for the Markdown report and for the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from retune.comparison.synthetic_sets import SyntheticSet
from retune.core.markdown import table
from retune.report.tables import plain

PERCENTILES = ("p5", "p50", "p95")


def synthetic_sets(sets: Sequence[SyntheticSet]) -> list[str]:
    """Return a part for each synthetic data set in Markdown: kinds and reasons, without texts."""
    lines: list[str] = []
    for synthetic in sets:
        audit = synthetic.audit
        headings = ["kind", "drafted", "kept", "words, 5th percentile", "median", "95th percentile"]
        rows = [
            [row["kind"], _number(row["drafted"]), _number(row["kept"]), *(_number(row[p]) for p in PERCENTILES)]
            for row in kinds(audit)
        ]
        lines += [f"### {synthetic.name}", "", plain(summary(synthetic)), "", *table(headings, rows, num_texts=1), ""]
        if rejected := reasons(audit):
            numbers = [[plain(reason), _number(count)] for reason, count in rejected]
            lines += [*table(["rejected because", "queries"], numbers, num_texts=1), ""]
        lines += [line for sentence in asked(audit) for line in (plain(sentence), "")]
    return lines


def summary(synthetic: SyntheticSet) -> str:
    """Return who made the queries from which documents, and how many were kept."""
    audit = synthetic.audit
    rows = kinds(audit)
    kept, drafted = (sum(row[figure] for row in rows) for figure in ("kept", "drafted"))
    made = "were taken from" if synthetic.writer is None else f"were written by {synthetic.writer} for"
    part = audit["documents_shown_in_part"]
    return (
        f"The queries {made} {audit['documents']:,} documents of {synthetic.source}. "
        f"{kept:,} of {drafted:,} drafted queries were kept, for {audit['documents_with_queries']:,} documents."
        + (f" {part:,} documents were shown in part." if part else "")
    )


def kinds(audit: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each kind: `kind`, `drafted`, `kept`, and percentiles of the kept queries' words or None."""
    return [
        {"kind": kind, "drafted": found["drafted"], "kept": found["kept"]}
        | {percentile: found["length"]["words"].get(percentile) for percentile in PERCENTILES}
        for kind, found in audit["kinds"].items()
    ]


def reasons(audit: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the reasons why queries were rejected, the commonest first."""
    return sorted(audit["rejected"].items(), key=lambda item: (-item[1], item[0]))


def asked(audit: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each purpose that a language model was asked for."""
    sentences = []
    for purpose, ledger in audit["language_models"].items():
        about = "about " if ledger["tokens_are_estimated"] else ""
        cost = f", at a cost of {ledger['cost']:.2f}" if "cost" in ledger else ""
        sentences.append(
            f"Language model, {purpose}: {ledger['answered']:,} of {ledger['requests']:,} requests answered, with "
            f"{about}{ledger['input_tokens']:,} input and {ledger['output_tokens']:,} output tokens{cost}."
        )
    return sentences


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
