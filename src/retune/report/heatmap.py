"""The forgetting matrix as a picture: models by data sets, coloured by the change from the base."""

import json
from typing import Any

import vl_convert

from retune.comparison.compare import Comparison
from retune.report.tables import score_with_change

COLOURS = [
    "#f1a340",
    "#f7f7f7",
    "#92c5de",
]  # lost, unchanged, gained; distinct without telling red from green


def heatmap_svg(comparison: Comparison) -> str:
    """Draw models by data sets as SVG."""
    return str(vl_convert.vegalite_to_svg(json.dumps(heatmap(comparison))))


def heatmap(comparison: Comparison) -> dict[str, Any]:
    """Return the Vega-Lite specification of the heatmap, including its data."""
    values = [
        {
            "model": measurement.model,
            "dataset": measurement.test_set.replace(" (", "\n("),
            "change": measurement.change or 0.0,
            "label": score_with_change(measurement),
        }
        for measurement in comparison.measurements
    ]
    reach = max(0.01, *(abs(measurement.change or 0.0) for measurement in comparison.measurements))
    axes: dict[str, Any] = {
        "x": {"field": "dataset", "type": "nominal", "sort": None, "title": "evaluated on", "axis": {"labelAngle": 0}},
        "y": {"field": "model", "type": "nominal", "sort": None, "title": None},
    }
    if any(measurement.is_synthetic for measurement in comparison.measurements):
        axes["x"]["axis"] = {"labelAngle": 0, "labelExpr": r"split(datum.label, '\n')"}
    colour = {
        "field": "change",
        "type": "quantitative",
        "title": "change from base",
        "scale": {"range": COLOURS, "domain": [-reach, 0, reach]},
    }
    text = {"field": "label", "type": "nominal"}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": comparison.params.metric,
        "background": "white",
        "width": {"step": 150},
        "height": {"step": 36},
        "data": {"values": values},
        "layer": [
            {"mark": "rect", "encoding": axes | {"color": colour}},
            {"mark": {"type": "text", "fontSize": 13, "color": "black"}, "encoding": axes | {"text": text}},
        ],
    }
