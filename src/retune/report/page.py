"""The page for people: one HTML file that loads nothing, rendered from the content of a comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from retune.report import charts
from retune.report.packed_changes import pack

TEMPLATES = Path(__file__).parent / "templates"
MINUS = "−"
NONE = "–"

# of each verdict word: how the page colours it, and a sign for those who see no colour
SIGNS = {
    "improved": ("gain", "▲"),
    "worse": ("loss", "▼"),
    "forgot": ("loss", "▼"),
    "non-inferior": ("kept", "≈"),
    "no difference shown": ("open", "○"),
    "withheld": ("open", "?"),
}


def page_html(content: Mapping[str, Any]) -> str:
    """Render the page: the same text for the same content.

    Args:
        content: As page_content makes it: `title`, `metric`, `margin`, `confidence`, and the rows of each section.
            A section without rows is left out and named at the page's end.

    Raises:
        ValueError: A number is not finite.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"signed": signed, "plain": plain, "probability": probability, "percent": percent}
    environment.globals |= {"signs": SIGNS, "source": _source}
    return environment.get_template("page.html").render(
        content=content,
        runs=_runs(content),
        matrix=_matrix(content["cells"]),
        charts=_charts(content),
        slices=_slices(content["slices"], content["cells"]),
        audit=_audit(content["audit"]),
        references=_references(content),
        changes=pack(content["changes"]),
    )


def signed(value: float | None, digits: int = 4) -> str:
    """Write a change with its sign; none of a change that rounds to 0."""
    if value is None:
        return NONE
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def plain(value: Any, digits: int = 4) -> str:
    """Write a number: whole ones with separators for thousands, others with so many digits; texts as they are."""
    if value is None:
        return NONE
    if isinstance(value, bool | str):
        return str(value)
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"
    return text.replace("-", MINUS)


def probability(value: float | None) -> str:
    """Write a p-value, small ones as a bound."""
    return NONE if value is None else "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def percent(share: float) -> str:
    """Write a share in percent, without digits it does not need."""
    return f"{100 * share:.6g} %"


def _source(name: str) -> Markup:
    """Return a template's file as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _charts(content: Mapping[str, Any]) -> dict[str, list[charts.Panel]]:
    cells, margin = content["cells"], content["margin"]
    return {
        "scores": charts.scores(cells),
        "changes": charts.changes(cells, margin),
        "frontier": charts.frontier(content["frontier"], margin),
        "curves": charts.curves(content["curves"]),
        "lengths": charts.lengths(content["lengths"]),
        "mining": charts.mining(content["mining"]),
        "pairs": charts.pair_scores(content["pair_scores"], _bases(content["cells"])),
    }


def _bases(cells: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {cell["model"]: cell["base"] for cell in cells if cell["base"] is not None}


def _runs(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each verdict with its figures and, where the run was evaluated at home, its cell there."""
    figures = {row["model"]: row for row in content["frontier"]}
    homes = {cell["model"]: cell for cell in content["cells"] if cell["is_home"]}
    return [
        {"verdict": verdict, "figures": figures.get(verdict["run"]), "home": homes.get(verdict["run"])}
        for verdict in content["verdict"]
    ]


def _matrix(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return models by data sets; a cell's `strength` is its change as a share of the largest one, in [0, 1]."""
    reach = max((abs(cell["change"] or 0) for cell in cells), default=0) or 1
    table: dict[str, dict[str, Any]] = {}
    for cell in cells:
        strength = round(abs(cell["change"] or 0) / reach, 3)
        table.setdefault(cell["model"], {})[cell["dataset"]] = {**cell, "strength": strength}
    queries = {cell["dataset"]: cell["queries"] for cell in cells}
    return {"rows": table, "queries": queries, "bases": _bases(cells)}


def _slices(rows: Sequence[Mapping[str, Any]], cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a table for each model and data set, those at home marked; intervals as percents of a common axis."""
    homes = {(cell["model"], cell["dataset"]) for cell in cells if cell["is_home"]}
    ends = [abs(row[end]) for row in rows for end in ("low", "high", "change") if row[end] is not None]
    reach = max(ends, default=0) or 1
    tables: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        at = {
            end: None if row[end] is None else round(50 + 50 * row[end] / reach, 2) for end in ("low", "high", "change")
        }
        tables.setdefault((row["model"], row["dataset"]), []).append({**row, "at": at})
    return [
        {"model": model, "dataset": dataset, "is_home": (model, dataset) in homes, "rows": table}
        for (model, dataset), table in tables.items()
    ]


def _audit(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return figures by recipes."""
    table: dict[str, dict[str, Any]] = {}
    for row in rows:
        table.setdefault(row["figure"], {})[row["recipe"]] = row["value"]
    return {"rows": table, "recipes": list(dict.fromkeys(row["recipe"] for row in rows))}


def _references(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the references, each with our best model on its data set where the metric is the page's."""
    rows = []
    for reference in content["references"]:
        comparable = reference["metric"] == content["metric"]
        ours = [cell for cell in content["cells"] if comparable and cell["dataset"] == reference["dataset"]]
        rows.append({**reference, "ours": max(ours, key=lambda cell: float(cell["score"]), default=None)})
    return rows
