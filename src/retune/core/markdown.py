"""Markdown tables."""

from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, num_texts: int) -> list[str]:
    """Return the lines of a table whose first `num_texts` columns are texts and whose others are numbers."""
    rule = ["---"] * num_texts + ["---:"] * (len(headings) - num_texts)
    return [f"| {' | '.join(row)} |" for row in (headings, rule, *rows)]
