"""The weights that merges chose, for the Markdown report."""

from collections.abc import Mapping
from typing import Any

from retune.core.markdown import table

HEADINGS = ("merged model", "rule", "margin", "weight", "gain at home", "worst guard", "next weight", "its worst guard")


def merge_table(curves: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the weight of the tuned model in each merged model, and how far the next larger one misses the margin."""
    if not curves:
        return []
    fallbacks = [
        f"**`{name}` is its base itself**: no other weight both gains at home and keeps every guard within the margin."
        for name, curve in curves.items()
        if curve["is_searched"] and curve["weight"] == 0.0
    ]
    note = (
        "All figures are of dev queries. The weight is that of the tuned model: 0 is the base, 1 the tuned model. "
        "A search takes the weight that gains most at home among those with which no guard falls by more than the "
        "margin: by rule point its mean change, by rule bound the lower bound of it."
    )
    rows = [_row(name, curve) for name, curve in curves.items()]
    return [*table(HEADINGS, rows, num_texts=2), "", *fallbacks, *([""] if fallbacks else []), note]


def _row(name: str, curve: Mapping[str, Any]) -> list[str]:
    following = curve.get("next")
    after = [f"{following['weight']:g}", f"{following['worst']:+.4f}"] if following else ["", ""]
    chosen = [f"{curve['margin']:g}", f"{curve['weight']:g}", f"{curve['gain']:+.4f}", f"{curve['worst']:+.4f}"]
    return [f"`{name}`", curve["rule"], *chosen, *after]
