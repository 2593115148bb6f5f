"""Write a comparison for people: Markdown for a pull request, and the heatmap in it."""

import json
from typing import Any

import vl_convert

from retune.comparison import Cell, Comparison

COLOURS = ["#f1a340", "#f7f7f7", "#92c5de"]  # lost, as the base, gained; told apart without red or green


def markdown(comparison: Comparison, picture: str) -> str:
    """Return the report; `picture` is the heatmap's path from it."""
    lines = [
        f"# Comparison by {comparison.metric}",
        "",
        f"![{comparison.metric} by model and data set]({picture})",
        "",
        *_scores(comparison),
        "",
        "In brackets the change from the model's base; **bold** is the data set the model was tuned for.",
        "",
        *_verdict(comparison),
        "",
        "Gain: change at home. Forgetting: what was lost on the other data sets; below 0 it became better there.",
        "Better and worse: test queries at home ranked better and worse than by the base.",
    ]
    return "\n".join(lines) + "\n"


def heatmap_svg(comparison: Comparison) -> str:
    """Draw models by data sets, coloured by the change from the base, as SVG."""
    return str(vl_convert.vegalite_to_svg(json.dumps(heatmap(comparison))))


def heatmap(comparison: Comparison) -> dict[str, Any]:
    """Return the heatmap's Vega-Lite specification, its data inside."""
    reach = max(0.01, *(abs(cell.change) for cell in comparison.cells))
    axes = {
        "x": {"field": "dataset", "type": "nominal", "sort": None, "title": "evaluated on", "axis": {"labelAngle": 0}},
        "y": {"field": "model", "type": "nominal", "sort": None, "title": None},
    }
    colour = {
        "field": "change",
        "type": "quantitative",
        "title": "change from base",
        "scale": {"range": COLOURS, "domain": [-reach, 0, reach]},
    }
    text = {"field": "label", "type": "nominal"}
    values = [
        {"model": cell.model, "dataset": cell.dataset, "change": cell.change, "label": _label(cell)}
        for cell in comparison.cells
    ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": comparison.metric,
        "background": "white",
        "width": {"step": 150},
        "height": {"step": 36},
        "data": {"values": values},
        "layer": [
            {"mark": "rect", "encoding": axes | {"color": colour}},
            {"mark": {"type": "text", "fontSize": 13, "color": "black"}, "encoding": axes | {"text": text}},
        ],
    }


def _label(cell: Cell) -> str:
    return f"{cell.score:.4f} ({cell.change:+.4f})" if cell.change else f"{cell.score:.4f}"


def _scores(comparison: Comparison) -> list[str]:
    datasets = list(dict.fromkeys(cell.dataset for cell in comparison.cells))
    lines = [_row(["model", *datasets]), _row(["---", *["---:"] * len(datasets)])]
    for model in dict.fromkeys(cell.model for cell in comparison.cells):
        texts = [f"**{_label(cell)}**" if cell.is_home else _label(cell) for cell in comparison.of(model)]
        lines.append(_row([f"`{model}`", *texts]))
    return lines


def _verdict(comparison: Comparison) -> list[str]:
    headings = ["fine-tuned model", "base", "tuned for", "gain", "forgetting mean", "worst", "better / worse"]
    lines = [_row(headings), _row(["---"] * 3 + ["---:"] * 4)]
    for name, run in comparison.runs.items():
        numbers = [comparison.summary[key].get(name) for key in ("gain", "forgetting_mean", "forgetting_worst")]
        texts = ["not measured" if number is None else f"{number:+.4f}" for number in numbers]
        home = next(cell for cell in comparison.of(name) if cell.is_home)
        lines.append(_row([f"`{name}`", f"`{run.base}`", run.home, *texts, f"{home.better} / {home.worse}"]))
    return lines


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
