"""The page's charts: the rows that each one draws, and the tooltips of its marks.

They are drawn here and not by a script in the page, so they show without scripts, can be printed, follow the theme
without redrawing, and the page needs no library of a megabyte.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from retune.report.drawing import DASHED, GAIN, INK, LOSS, MUTED, Row, Spec, bars, draw, lines, quantity, rule

Drawn = Mapping[str, tuple[str, str, list[int]]]  # by field: name, colour and dash pattern of its line
MAX_POINTS = 300  # of a loss curve; more are averaged, because the picture has no more pixels


@dataclass(frozen=True)
class Panel:
    """One small chart.

    Attributes:
        title: The title above it, not escaped yet.
        pictures: SVG elements, one below the other.
    """

    title: str
    pictures: Sequence[Markup]


def scores(measurements: Sequence[Row]) -> list[Panel]:
    """Draw the scores on each data set: a bar for each model, with the interval of the change for a tuned model.

    The interval is that of the paired change, so the base's score is added to its ends.
    """
    table = {(measurement["model"], measurement["dataset"]): measurement["score"] for measurement in measurements}
    panels = []
    for dataset, group in _by(measurements, "dataset"):
        rows = []
        for measurement in group:
            base = table.get((measurement["base"], dataset))
            compared = "" if base is None else f", the base scores {base:.4f}"
            label = f"{measurement['model']} scores {measurement['score']:.4f}{compared}"
            row = {"name": measurement["model"], "label": label, "value": measurement["score"], "colour": MUTED}
            if base is not None:
                row["colour"] = LOSS if measurement["score"] < base else GAIN
                row |= {end: base + measurement[end] for end in ("low", "high") if measurement[end] is not None}
            rows.append(row)
        panels.append(Panel(dataset, [bars(rows, title="score")]))
    return panels


def changes(measurements: Sequence[Row], margin: float) -> list[Panel]:
    """Draw the changes from the base on each data set, with their intervals and the margin of forgetting."""
    rules = [rule("x", 0.0), rule("x", -margin, dash=DASHED)]
    panels = []
    for dataset, group in _by(
        [measurement for measurement in measurements if measurement["change"] is not None], "dataset"
    ):
        rows = []
        for measurement in group:
            interval = ""
            if measurement["low"] is not None:
                interval = f", confidence interval {measurement['low']:+.4f} to {measurement['high']:+.4f}"
            rows.append(
                {
                    "name": measurement["model"],
                    "label": f"{measurement['model']} changed by {measurement['change']:+.4f}{interval}",
                    "value": measurement["change"],
                    "colour": LOSS if measurement["change"] < 0 else GAIN,
                    "low": measurement["low"],
                    "high": measurement["high"],
                }
            )
        panels.append(Panel(dataset, [bars(rows, title="change from the base", rules=rules)]))
    return panels


def frontier(tuned_models: Sequence[Row], margin: float) -> list[Panel]:
    """Draw the gain at home over the worst change elsewhere. A point has its model's number; some models have none."""
    rows = [
        {
            "number": str(number),
            "x": tuned["worst_change_elsewhere"],
            "y": tuned["gain"],
            "label": f"{tuned['model']}: gain at home {tuned['gain']:+.4f}, worst change elsewhere "
            f"{tuned['worst_change_elsewhere']:+.4f}",
        }
        for number, tuned in enumerate(tuned_models, start=1)
        if tuned["worst_change_elsewhere"] is not None
    ]
    if not rows:
        return []
    at = {"x": quantity("x", "worst change elsewhere"), "y": quantity("y", "gain at home")}
    number = {"type": "text", "dx": 10, "dy": -8, "fontSize": 12, "fontWeight": "bold", "color": INK, "aria": False}
    layers: list[Spec] = [
        rule("x", 0.0),
        rule("y", 0.0),
        rule("x", -margin, dash=DASHED),
        {"mark": {"type": "point", "filled": True, "size": 90, "color": GAIN, "opacity": 1}, "encoding": at},
        {"mark": number, "encoding": at | {"text": {"field": "number"}}},
    ]
    return [Panel("", [draw(rows, layers, height=280)])]


def histories(rows: Sequence[Row]) -> list[Panel]:
    """Draw the training loss of each tuned model and, below it, its dev score."""
    panels = []
    for model, group in _by(rows, "model"):
        pictures = []
        ends = [min(row["global_step"] for row in group), max(row["global_step"] for row in group)]
        for field, colour, title in (("loss", MUTED, "loss"), ("dev", GAIN, "dev score")):
            points = [(row["global_step"], row[field]) for row in group if row[field] is not None]
            drawn = [{"x": x, "y": y, "label": f"{title} {y:.5g} at step {x:,.0f}"} for x, y in _thinned(points)]
            at = {"x": quantity("x", "step") | {"scale": {"domain": ends}}, "y": quantity("y", title)}
            point = {"type": "point", "filled": True, "size": 40, "color": colour, "opacity": float(field == "dev")}
            layers: list[Spec] = [
                {"mark": {"type": "line", "color": colour, "aria": False}, "encoding": at},
                {"mark": point, "encoding": at},
            ]
            pictures += [draw(drawn, layers, height=150)] if drawn else []
        panels += [Panel(model, pictures)] if pictures else []
    return panels


def merges(rows: Sequence[Row]) -> list[Panel]:
    """Draw the gain at home and what the worst guard loses by weight, both on dev queries, for each merged model."""
    panels = []
    for model, group in _by(rows, "model"):
        layers: list[Spec] = [
            rule("y", 0.0),
            rule("y", -group[0]["margin"], dash=DASHED),
            rule("x", group[0]["chosen"]),
        ]
        drawn = []
        for field, colour, title in (("gain", GAIN, "gain at home"), ("worst", LOSS, "worst guard")):
            at = {
                "x": quantity("weight", "weight of the tuned model"),
                "y": quantity("change", "change on dev queries"),
            }
            part = {"filter": {"field": "line", "equal": field}}
            mark = {"type": "line", "color": colour, "aria": False}
            point = {"type": "point", "filled": True, "size": 40, "color": colour}
            layers += [{"mark": kind, "transform": [part], "encoding": at} for kind in (mark, point)]
            drawn += [
                {"line": field, "weight": row["weight"], "change": row[field],
                 "label": f"weight {row['weight']:g}: {title} {row[field]:+.4f}"}
                for row in group
            ]  # fmt: skip
        panels.append(Panel(model, [draw(drawn, layers, height=200)]))
    return panels


def lengths(rows: Sequence[Row]) -> list[Panel]:
    """Draw the lengths of each data set at each percentile: documents with a solid line, queries with a dashed one."""
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
    """Draw the scores of positives, of mined negatives and of random pairs for each mining recipe."""
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
    """Draw the density of the cosines of relevant and of random pairs: solid after tuning, dashed for the base.

    Args:
        rows: The histograms of all models.
        bases: The base of each tuned model. A base is drawn only together with the models tuned from it.
    """
    drawn: Drawn = {"positives": ("positives", GAIN, []), "random_pairs": ("random pairs", LOSS, [])}
    dashed: Drawn = {field: (f"{name}, base", colour, DASHED) for field, (name, colour, _) in drawn.items()}
    histograms: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        histograms.setdefault((row["model"], row["dataset"]), []).append(row)
    panels = []
    for (model, dataset), histogram in histograms.items():
        if model not in bases.values():
            base = histograms.get((bases.get(model, ""), dataset), [])
            points = _densities(_points(histogram, "score", drawn)) + _densities(_points(base, "score", dashed))
            panels.append(Panel(f"{model} on {dataset}", [lines(points, titles=("cosine", "density"), scale={})]))
    return panels


def _densities(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Scale each line to an area of 1, so that histograms with other bins can be compared with it."""
    for _, line in _by(points, "label"):
        xs = [point["x"] for point in line]
        width = (max(xs) - min(xs)) / max(1, len(xs) - 1) or 1.0
        area = width * sum(point["y"] for point in line) or 1.0
        for point in line:
            point["y"] /= area
    return points


def _points(rows: Sequence[Row], x: str, drawn: Drawn) -> list[dict[str, Any]]:
    """Return the points of all lines; rows without a value are left out."""
    return [
        {"x": row[x], "y": row[field], "label": name, "colour": colour, "dash": dash}
        for field, (name, colour, dash) in drawn.items()
        for row in rows
        if row[field] is not None
    ]


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most `MAX_POINTS` points: means of equally many neighbours, each at the step of the last of them."""
    size = max(1, -(-len(points) // MAX_POINTS))
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _by(rows: Iterable[Any], field: str) -> list[tuple[str, list[Any]]]:
    """Group rows by the value of a field, in the order in which the values first occur."""
    groups: dict[str, list[Any]] = {}
    for row in rows:
        groups.setdefault(row[field], []).append(row)
    return list(groups.items())
