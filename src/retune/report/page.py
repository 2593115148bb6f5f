"""The page for people: one HTML file that loads nothing, rendered from the content of a comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from retune.comparison.wording import MARKS, SEEDS, p_value
from retune.report import charts
from retune.report.packed_changes import pack

TEMPLATES = Path(__file__).parent / "templates"
MINUS = "−"
NONE = "–"


def page_html(content: Mapping[str, Any]) -> str:
    """Render the page; the same content gives the same text.

    Args:
        content: As page_content returns it: `title`, `metric`, `margin`, `confidence`, and the rows of each section.
            A section without rows is left out and named at the end of the page.

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
    environment.filters |= {"signed": signed, "plain": plain, "p_value": optional_p_value, "percent": percent}
    environment.globals |= {"marks": MARKS, "source": _source}
    return environment.get_template("page.html").render(
        seeds=SEEDS,
        content=content,
        homes={item["model"]: item for item in content["measurements"] if item["is_home"]},
        matrix=_matrix(content["measurements"]),
        charts=_charts(content),
        slices=_slices(content["slices"], content["measurements"]),
        audit=_audit(content["audit"]),
        references=_references(content),
        changes=pack(content["changes"]),
    )


def signed(value: float | None, digits: int = 4) -> str:
    """Return a change with its sign; a change that rounds to 0 has none."""
    if value is None:
        return NONE
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def plain(value: Any, digits: int = 4) -> str:
    """Return an integer with separators for thousands, another number with `digits` decimals, and a text unchanged."""
    if value is None:
        return NONE
    if isinstance(value, bool | str):
        return str(value)
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"
    return text.replace("-", MINUS)


def optional_p_value(p: float | None) -> str:
    """Return a p-value, or a dash if there is none."""
    return NONE if p is None else p_value(p)


def percent(share: float) -> str:
    """Return a share in percent, without trailing zeros."""
    return f"{100 * share:.6g} %"


def _source(name: str) -> Markup:
    """Return the unchanged text of a file in the folder of templates."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _charts(content: Mapping[str, Any]) -> dict[str, list[charts.Panel]]:
    measurements, margin = content["measurements"], content["margin"]
    return {
        "scores": charts.scores(measurements),
        "changes": charts.changes(measurements, margin),
        "frontier": charts.frontier(content["tuned_models"], margin),
        "histories": charts.histories(content["histories"]),
        "merges": charts.merges(content["merges"]),
        "lengths": charts.lengths(content["lengths"]),
        "mining": charts.mining(content["mining"]),
        "pairs": charts.pair_scores(content["pair_scores"], _bases(measurements)),
    }


def _bases(measurements: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {item["model"]: item["base"] for item in measurements if item["base"] is not None}


def _matrix(measurements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return models by data sets. The `strength` of a measurement is its change divided by the largest, in [0, 1]."""
    reach = max((abs(item["change"] or 0) for item in measurements), default=0) or 1
    table: dict[str, dict[str, Any]] = {}
    for item in measurements:
        strength = round(abs(item["change"] or 0) / reach, 3)
        table.setdefault(item["model"], {})[item["dataset"]] = {**item, "strength": strength}
    queries = {item["dataset"]: item["queries"] for item in measurements}
    return {"rows": table, "queries": queries, "bases": _bases(measurements)}


def _slices(rows: Sequence[Mapping[str, Any]], measurements: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a table for each model and data set, with the positions of the intervals in percent of a common axis."""
    homes = {(item["model"], item["dataset"]) for item in measurements if item["is_home"]}
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
    """Return the published results, each with our best model on its data set if the metric is the page's."""
    rows = []
    for reference in content["references"]:
        is_comparable = reference["metric"] == content["metric"]
        ours = [item for item in content["measurements"] if is_comparable and item["dataset"] == reference["dataset"]]
        rows.append({**reference, "ours": max(ours, key=lambda item: float(item["score"]), default=None)})
    return rows
