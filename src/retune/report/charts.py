"""The page's charts: which rows each draws, and what its marks tell.

They are drawn here and not by a script in the page: so they show without one, print, follow the theme with no
redrawing, and spare each page a megabyte of libraries.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from retune.report.drawing import DASHED, GAIN, INK, LOSS, MUTED, Row, Spec, bars, draw, lines, quantity, rule

Drawn = Mapping[str, tuple[str, str, list[int]]]  # of each line's field: its name, colour and dash
MAX_POINTS = 300  # of a loss curve; more are averaged, a pixel shows no more


@dataclass(frozen=True)
class Panel:
    """One small chart.

    Attributes:
        title: What stands above it; not escaped yet.
        pictures: SVG elements, one below the other.
    """

    title: str
    pictures: Sequence[Markup]


def scores(cells: Sequence[Row]) -> list[Panel]:
    """Draw each data set's scores: a bar per model, with the change's interval on a run's.

    The interval is that of the paired change, so it is drawn from the base's score on.
    """
    table = {(cell["model"], cell["dataset"]): cell["score"] for cell in cells}
    panels = []
    for dataset, group in _by(cells, "dataset"):
        rows = []
        for cell in group:
            base = table.get((cell["base"], dataset))
            told = f"{cell['model']}: {cell['score']:.4f}" + ("" if base is None else f", base {base:.4f}")
            row = {"name": cell["model"], "told": told, "value": cell["score"], "colour": MUTED}
            if base is not None:
                row["colour"] = LOSS if cell["score"] < base else GAIN
                row |= {end: base + cell[end] for end in ("low", "high") if cell[end] is not None}
            rows.append(row)
        panels.append(Panel(dataset, [bars(rows, title="score")]))
    return panels


def changes(cells: Sequence[Row], margin: float) -> list[Panel]:
    """Draw each data set's changes from the base, with their intervals and the margin of forgetting."""
    rules = [rule("x", 0.0), rule("x", -margin, dash=DASHED)]
    panels = []
    for dataset, group in _by([cell for cell in cells if cell["change"] is not None], "dataset"):
        rows = []
        for cell in group:
            interval = "" if cell["low"] is None else f", interval {cell['low']:+.4f} to {cell['high']:+.4f}"
            rows.append(
                {
                    "name": cell["model"],
                    "told": f"{cell['model']}: {cell['change']:+.4f}{interval}",
                    "value": cell["change"],
                    "colour": LOSS if cell["change"] < 0 else GAIN,
                    "low": cell["low"],
                    "high": cell["high"],
                }
            )
        panels.append(Panel(dataset, [bars(rows, title="change from the base", rules=rules)]))
    return panels


def frontier(runs: Sequence[Row], margin: float) -> list[Panel]:
    """Draw gain over the worst forgetting. Points carry each run's number in `runs`; a run without either has none."""
    rows = [
        {
            "number": str(number),
            "x": run["forgetting_worst"],
            "y": run["gain"],
            "told": f"{run['model']}: gain {run['gain']:+.4f}, worst forgetting {run['forgetting_worst']:+.4f}",
        }
        for number, run in enumerate(runs, start=1)
        if run["gain"] is not None and run["forgetting_worst"] is not None
    ]
    if not rows:
        return []
    at = {"x": quantity("x", "worst forgetting"), "y": quantity("y", "gain at home")}
    number = {"type": "text", "dx": 10, "dy": -8, "fontSize": 12, "fontWeight": "bold", "color": INK, "aria": False}
    layers: list[Spec] = [
        rule("x", 0.0),
        rule("y", 0.0),
        rule("x", margin, dash=DASHED),
        {"mark": {"type": "point", "filled": True, "size": 90, "color": GAIN, "opacity": 1}, "encoding": at},
        {"mark": number, "encoding": at | {"text": {"field": "number"}}},
    ]
    return [Panel("", [draw(rows, layers, height=280)])]


def curves(rows: Sequence[Row]) -> list[Panel]:
    """Draw each run's training loss and, below it, its dev score."""
    panels = []
    for run, group in _by(rows, "run"):
        pictures = []
        ends = [min(row["global_step"] for row in group), max(row["global_step"] for row in group)]
        for field, colour, title in (("loss", MUTED, "loss"), ("dev", GAIN, "dev score")):
            points = [(row["global_step"], row[field]) for row in group if row[field] is not None]
            drawn = [{"x": x, "y": y, "told": f"step {x:,.0f}: {title} {y:.5g}"} for x, y in _thinned(points)]
            at = {"x": quantity("x", "step") | {"scale": {"domain": ends}}, "y": quantity("y", title)}
            point = {"type": "point", "filled": True, "size": 40, "color": colour, "opacity": float(field == "dev")}
            layers: list[Spec] = [
                {"mark": {"type": "line", "color": colour, "aria": False}, "encoding": at},
                {"mark": point, "encoding": at},
            ]
            pictures += [draw(drawn, layers, height=150)] if drawn else []
        panels += [Panel(run, pictures)] if pictures else []
    return panels


def lengths(rows: Sequence[Row]) -> list[Panel]:
    """Draw each data set's lengths at each percentile: documents solid, queries dashed."""
    drawn: Drawn = {"document_characters": ("documents", GAIN, []), "query_characters": ("queries", LOSS, DASHED)}
    panels = []
    for dataset, group in _by(rows, "dataset"):
        points = _points(group, "percentile", drawn)
        for point in points:
            point["y"] = max(1, point["y"])  # the axis is logarithmic
        scale = {"scale": {"type": "log"}, "axis": {"tickCount": 4, "format": "~s"}}
        panels.append(Panel(dataset, [lines(points, titles=("percentile", "characters"), scale=scale)]))
    return panels


def mining(rows: Sequence[Row]) -> list[Panel]:
    """Draw each recipe's scores of positives, of mined negatives and of random pairs."""
    drawn: Drawn = {
        "positives": ("positives", GAIN, []),
        "negatives": ("negatives", LOSS, []),
        "random_pairs": ("random pairs", MUTED, DASHED),
    }
    titles = ("score", "share of pairs")
    return [
        Panel(recipe, [lines(_points(group, "score", drawn), titles=titles, scale={})])
        for recipe, group in _by(rows, "recipe")
    ]


def pair_scores(rows: Sequence[Row], bases: Mapping[str, str]) -> list[Panel]:
    """Draw densities of the scores of relevant and of random pairs: a run's solid, its base's dashed.

    Args:
        rows: The histograms of all models.
        bases: Each run's base. A base is drawn with its runs alone.
    """
    drawn: Drawn = {"positives": ("positives", GAIN, []), "random_pairs": ("random pairs", LOSS, [])}
    dashed: Drawn = {field: (f"{name}, base", colour, DASHED) for field, (name, colour, _) in drawn.items()}
    histograms: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        histograms.setdefault((row["model"], row["dataset"]), []).append(row)
    panels = []
    for (model, dataset), own in histograms.items():
        if model not in bases.values():
            base = histograms.get((bases.get(model, ""), dataset), [])
            points = _densities(_points(own, "score", drawn)) + _densities(_points(base, "score", dashed))
            panels.append(Panel(f"{model} on {dataset}", [lines(points, titles=("cosine", "density"), scale={})]))
    return panels


def _densities(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Scale each line to an area of 1, so that histograms of other bins can stand beside it."""
    for _, line in _by(points, "told"):
        xs = [point["x"] for point in line]
        width = (max(xs) - min(xs)) / max(1, len(xs) - 1) or 1.0
        area = width * sum(point["y"] for point in line) or 1.0
        for point in line:
            point["y"] /= area
    return points


def _points(rows: Sequence[Row], x: str, drawn: Drawn) -> list[dict[str, Any]]:
    """Return the points of lines; those without a value are left out."""
    return [
        {"x": row[x], "y": row[field], "told": name, "colour": colour, "dash": dash}
        for field, (name, colour, dash) in drawn.items()
        for row in rows
        if row[field] is not None
    ]


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most `MAX_POINTS` points, each the mean of as many in a row, at the last one's step."""
    size = max(1, -(-len(points) // MAX_POINTS))
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _by(rows: Iterable[Any], field: str) -> list[tuple[str, list[Any]]]:
    """Return the rows of each value of a field, in the order in which the values come first."""
    groups: dict[str, list[Any]] = {}
    for row in rows:
        groups.setdefault(row[field], []).append(row)
    return list(groups.items())
