"""Pack the changed queries for the page: each text once, numbers for names, in pieces that are read one at a time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

PIECE = 2000  # items in a piece; a browser parses it in a few milliseconds


@dataclass(frozen=True)
class Changes:
    """The data of the table of changed queries.

    Attributes:
        models: Names of the models, in the order of their first rows.
        datasets: Names of the data sets, in the order of their first rows.
        count: Number of rows.
        left_out: Number of queries that changed less and have no row.
        pieces: Pairs of a part (`queries`, `documents` or `rows`) and the JSON of some of its items. A query is
            `[dataset, query_id, text]`, sorted by text; a document is its text; a row is `[model, query, base_score,
            score, change, wanted, found, relevant]` with numbers for model and query.
    """

    models: list[str]
    datasets: list[str]
    count: int
    left_out: int
    pieces: list[tuple[str, Markup]]


def pack(changes: Mapping[str, Any]) -> Changes:
    """Pack the changes of the page's content; the rows keep their order."""
    rows: Sequence[Mapping[str, Any]] = changes["rows"]
    models = _numbered(row["model"] for row in rows)
    datasets = _numbered(row["dataset"] for row in rows)
    texts = {(row["dataset"], row["query_id"]): row["query"] for row in rows}
    ordered = sorted(texts.items(), key=lambda item: (item[1].casefold(), item[1], item[0]))
    numbers = {key: number for number, (key, _) in enumerate(ordered)}
    packed = [
        [
            models[row["model"]],
            numbers[row["dataset"], row["query_id"]],
            *(row[key] for key in ("base_score", "score", "change", "wanted", "found", "relevant")),
        ]
        for row in rows
    ]
    queries = [[datasets[dataset], query_id, text] for (dataset, query_id), text in ordered]
    parts = {"queries": queries, "documents": changes["documents"], "rows": packed}
    pieces = [(part, piece) for part, items in parts.items() for piece in _pieces(items)]
    return Changes(list(models), list(datasets), len(rows), changes["left_out"], pieces)


def _numbered(names: Iterator[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _pieces(items: Sequence[Any]) -> Iterator[Markup]:
    for start in range(0, len(items), PIECE):
        text = json.dumps(items[start : start + PIECE], ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        yield Markup(text.replace("<", "\\u003c"))  # so that no text can end the script or open a comment
