"""The charts of a sweep and of a learning curve, as SVG."""

import json
from collections.abc import Sequence
from typing import Any

import vl_convert

from retune.sweeping.intervals import Change

GAIN, INK = "#2166ac", "#333333"
ROW = 26  # pixels in height for each configuration


def sweep_svg(names: Sequence[str], found: Sequence[Change], *, title: str) -> str:
    """Draw the change of each configuration with its interval, and the base at 0."""
    name = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 500}}
    rows = [{"name": name, **_ends(change)} for name, change in zip(names, found, strict=True)]
    value = {"field": "change", "type": "quantitative", "title": title}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"y": name, "x": _low(title), "x2": {"field": "high"}},
        },
        {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 1}, "encoding": {"y": name, "x": value}},
        {"mark": {"type": "rule", "color": INK}, "encoding": {"x": {"datum": 0.0}}},
    ]
    return _draw(rows, layers, width=420, height=ROW * len(rows))


def curve_svg(queries: Sequence[int], found: Sequence[Change], *, title: str) -> str:
    """Draw the change over the number of labelled queries, on a logarithmic axis, with its interval."""
    rows = [{"queries": count, **_ends(change)} for count, change in zip(queries, found, strict=True)]
    scale = {"type": "log", "nice": False, "padding": 20}
    x = {"field": "queries", "type": "quantitative", "title": "labelled queries", "scale": scale}
    x["axis"] = {"values": list(queries), "format": ",d"}
    y = {"field": "change", "type": "quantitative", "title": title}
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "rule", "strokeWidth": 2}, "encoding": {"x": x, "y": _low(title), "y2": {"field": "high"}}},
        {"mark": {"type": "line", "point": {"filled": True, "size": 70}}, "encoding": {"x": x, "y": y}},
        {"mark": {"type": "rule", "color": INK}, "encoding": {"y": {"datum": 0.0}}},
    ]
    return _draw(rows, layers, width=420, height=240)


def _ends(change: Change) -> dict[str, float]:
    return {"change": change.mean, "low": change.low, "high": change.high}


def _low(title: str) -> dict[str, Any]:
    return {"field": "low", "type": "quantitative", "title": title}


def _draw(rows: Sequence[dict[str, Any]], layers: Sequence[dict[str, Any]], *, width: int, height: int) -> str:
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "config": {"mark": {"color": GAIN}},
        "data": {"values": rows},
        "height": height,
        "layer": layers,
        "width": width,
    }
    return str(vl_convert.vegalite_to_svg(json.dumps(spec)))
