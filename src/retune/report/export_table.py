"""The exports, for the Markdown report."""

from collections.abc import Mapping, Sequence
from typing import Any

from retune.comparison.model_verdicts import ModelVerdict
from retune.core.markdown import table

HEADINGS = (
    "export", "of", "format", "dtype", "verdict", "dimensions", "MB", "least cosine", "median cosine", "worst change",
)  # fmt: skip
NOTE = (
    "The cosines are those of an export's vectors with its model's, over texts of documents and queries; a static "
    "model has none, as its vectors are in another space. An export "
    "need not gain, but must be as good as its model everywhere: its verdict is the worst on any data set."
)


def export_table(exports: Mapping[str, Mapping[str, Any]], verdicts: Sequence[ModelVerdict]) -> list[str]:
    """Return the size, the parity and the verdict of each export."""
    if not exports:
        return []
    judged = {verdict.model: verdict for verdict in verdicts}
    rows = [_row(judged[name], measured) for name, measured in exports.items()]
    return [*table(HEADINGS, rows, num_texts=5), "", NOTE]


def _row(verdict: ModelVerdict, measured: Mapping[str, Any]) -> list[str]:
    names = [f"`{verdict.model}`", f"`{verdict.base}`", measured["format"], measured["dtype"], verdict.word]
    cosine = measured["cosine"] or {}
    cosines = [f"{cosine[key]:.5f}" if cosine else "" for key in ("least", "median")]
    worst = f"{verdict.worst_change_elsewhere or 0.0:+.4f}"
    return [*names, f"{measured['dims']:,}", f"{measured['megabytes']:.1f}", *cosines, worst]
