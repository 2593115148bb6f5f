"""Draw Vega-Lite specifications as SVG; the colours are CSS variables of the page."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import vl_convert
from markupsafe import Markup

WIDTH = 320  # pixels; three panels fit side by side on a desktop screen, one on a phone
BAR = 24  # pixels in height for each bar
GAIN, LOSS, INK, MUTED, RULE = (f"var(--{name})" for name in ("gain", "loss", "ink", "muted", "rule"))
DASHED = [5, 3]

Spec = dict[str, Any]
Row = Mapping[str, Any]

AXIS = {
    "aria": False,
    "domain": False,
    "grid": True,
    "gridColor": RULE,
    "labelColor": MUTED,
    "labelFontSize": 11,
    "labelLimit": 130,
    "tickCount": 5,
    "ticks": False,
    "titleColor": MUTED,
    "titleFontSize": 11,
    "titleFontWeight": "normal",
    "titlePadding": 8,
}
CONFIG = {"axis": AXIS, "axisBand": {"grid": False}, "font": "Liberation Sans", "view": {"stroke": None}}


def draw(rows: Sequence[Row], layers: Sequence[Spec], *, height: int) -> Markup:
    """Draw layers that share their rows; a row's `label` is the tooltip of its marks.

    Args:
        rows: The data.
        layers: Vega-Lite layers.
        height: The height in pixels, with axes.
    """
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "autosize": {"type": "fit", "contains": "padding"},
        "background": None,
        "config": CONFIG,
        "data": {"values": rows},
        "encoding": {"description": {"field": "label"}},
        "height": height,
        "layer": layers,
        "padding": 2,
        "width": WIDTH,
    }
    return Markup(vl_convert.vegalite_to_svg(json.dumps(spec)))  # Vega escapes the texts


def bars(rows: Sequence[Row], *, title: str, rules: Sequence[Spec] = ()) -> Markup:
    """Draw a bar for each row: `value` by `name` in its `colour`, with an interval from `low` to `high` if known."""
    name = {"field": "name", "type": "nominal", "sort": None, "title": None}
    layers = [
        {
            "mark": {"type": "bar", "height": {"band": 0.6}, "opacity": 0.8},
            "encoding": {"y": name, "x": quantity("value", title, zero=True), "color": literal("colour")},
        },
        {"mark": {"type": "rule", "strokeWidth": 2, "color": INK}, "encoding": {"y": name} | _interval(title)},
        *rules,
    ]
    return draw(rows, layers, height=BAR * len(rows) + 40)


def lines(rows: Sequence[Row], *, titles: tuple[str, str], scale: Spec) -> Markup:
    """Draw `y` over `x` with a line for each value of `label`, in its `colour` and `dash`.

    Args:
        rows: The points.
        titles: Titles of the axes x and y.
        scale: Further settings of the axis y.
    """
    encoding = {
        "x": quantity("x", titles[0]),
        "y": quantity("y", titles[1]) | scale,
        "color": literal("colour"),
        "strokeDash": literal("dash"),
        "detail": {"field": "label"},
    }
    return draw(rows, [{"mark": {"type": "line", "strokeWidth": 2}, "encoding": encoding}], height=180)


def quantity(field: str, title: str, *, zero: bool = False) -> Spec:
    """Encode a number; with `zero` the axis includes 0, as bars need."""
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": zero}}


def literal(field: str) -> Spec:
    """Encode a colour or dash pattern given in the rows."""
    return {"field": field, "type": "nominal", "scale": None, "legend": None}


def rule(channel: str, value: float, *, colour: str = INK, dash: Sequence[int] = ()) -> Spec:
    """Return a layer with one straight line across the panel, at a value of `x` or `y`."""
    mark = {"type": "rule", "color": colour, "strokeDash": list(dash), "aria": False}
    return {"data": {"values": [{}]}, "mark": mark, "encoding": {channel: {"datum": value}}}


def _interval(title: str) -> Spec:
    return {"x": quantity("low", title, zero=True), "x2": {"field": "high"}}
