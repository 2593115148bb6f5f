"""The tables of the report, as Markdown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from retune.comparison.compare import Comparison
from retune.comparison.model_verdicts import RunVerdict
from retune.comparison.score_tables import ScoreTable
from retune.comparison.slices import SliceChange
from retune.comparison.verdict import Cell, Word

MARKS: dict[Word, str] = {
    "improved": " ▲",
    "worse": " ▼",
    "forgot": " ▼",
    "non-inferior": " ≈",
    "no difference shown": "",
    "withheld": " ?",
}
LEAST_SLICES = 3  # shown of a run


def matrix(comparison: Comparison) -> list[str]:
    """Return models by data sets, the change from the base in brackets, bold at home."""
    datasets = list(dict.fromkeys(cell.dataset for cell in comparison.cells))
    rows = []
    for model in dict.fromkeys(cell.model for cell in comparison.cells):
        texts = [
            f"**{score_in_words(cell)}**" if cell.is_home else score_in_words(cell) for cell in comparison.of(model)
        ]
        rows.append([f"`{model}`", *texts])
    return _table(["model", *datasets], rows, num_texts=1)


def score_in_words(cell: Cell) -> str:
    """Return a cell's score, and if it is a run's, its change with the mark of its verdict."""
    if cell.change is None:
        return f"{cell.score:.4f}"
    return f"{cell.score:.4f} ({cell.change:+.4f}{MARKS[cell.word] if cell.word else ''})"


def runs(comparison: Comparison, verdicts: Sequence[RunVerdict]) -> list[str]:
    """Return gain and forgetting of each run."""
    headings = ["run", "base", "tuned for", "gain", "of the best gain", "forgetting mean", "worst", "better / worse"]
    rows = []
    for run in verdicts:
        home = comparison.home(run.run)
        kept = "" if run.gain_kept is None else f"{100 * run.gain_kept:.0f} %"
        lost = [
            "not measured" if lost is None else f"{lost:+.4f}" for lost in (run.forgetting_mean, run.forgetting_worst)
        ]
        counts = f"{home.better} / {home.worse}"
        rows.append([f"`{run.run}`", f"`{run.base}`", run.home, f"{run.gain:+.4f}", kept, *lost, counts])
    return _table(headings, rows, num_texts=3)


def cells(comparison: Comparison) -> list[str]:
    """Return the statistics of every run on every data set."""
    headings = ["run", "data set", "verdict", "change", "interval", "p", "corrected p", "detectable", "queries"]
    rows = []
    for cell in comparison.cells:
        if cell.base is None:
            continue
        name = [f"`{cell.model}`", f"**{cell.dataset}**" if cell.is_home else cell.dataset, cell.word or ""]
        numbers = ["", "", "", ""]
        if cell.p is not None and cell.p_holm is not None:
            chances = [_probability(cell.p), _probability(cell.p_holm)]
            numbers = [f"{cell.low:+.4f} to {cell.high:+.4f}", *chances, "" if cell.mde is None else f"{cell.mde:.4f}"]
        rows.append([*name, f"{cell.change or 0.0:+.4f}", *numbers, f"{cell.queries:,}"])
    return _table(headings, rows, num_texts=3)


def references(comparison: Comparison, tables: Sequence[ScoreTable]) -> list[str]:
    """Return figures of others beside those of our models, a table for each data set that has some."""
    lines: list[str] = []
    for table in tables:
        given = [each for each in comparison.params.references if each.dataset == table.dataset]
        if given:
            metrics = list(dict.fromkeys(metric for each in given for metric in each.values))
            theirs = [[_plain(each.name), *(_number(each.values.get(metric)) for metric in metrics)] for each in given]
            ours = [
                [f"`{model}`", *(f"{table.mean(model, metric):.4f}" for metric in metrics)] for model in table.models
            ]
            lines += [*_table([f"on {table.dataset}", *metrics], [*theirs, *ours], num_texts=1), ""]
    return lines


def slices(changes: Sequence[SliceChange], verdicts: Sequence[RunVerdict]) -> list[str]:
    """Return the parts of the queries on which each run changed least, or lost most."""
    headings = ["run", "data set", "part", "queries", "base", "change", "interval"]
    rows = []
    for run in verdicts:
        sure = [change for change in changes if change.model == run.run and change.low is not None]
        for change in sorted(sure, key=lambda each: each.change)[:LEAST_SLICES]:
            part = _plain(f"{change.slice}: {change.value}")
            numbers = [f"{change.queries:,}", f"{change.base_score:.4f}", f"{change.change:+.4f}"]
            interval = f"{change.low:+.4f} to {change.high:+.4f}"
            rows.append([f"`{run.run}`", change.dataset, part, *numbers, interval])
    return _table(headings, rows, num_texts=3) if rows else []


def floors(pair_scores: Mapping[tuple[str, str], Any]) -> list[str]:
    """Return medians of the cosines of relevant and of random pairs."""
    headings = ["model", "data set", "relevant pairs, median", "random pairs, median", "random pairs, 95th percentile"]
    rows = []
    for (model, dataset), content in pair_scores.items():
        random_pairs = content["random_pairs"]
        numbers = [content["positives"].get("p50"), random_pairs.get("p50"), random_pairs.get("p95")]
        rows.append([f"`{model}`", dataset, *(_number(number) for number in numbers)])
    return _table(headings, rows, num_texts=2) if rows else []


def _probability(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, num_texts: int) -> list[str]:
    """Lay out a table whose first columns are texts and whose others are numbers."""
    rule = ["---"] * num_texts + ["---:"] * (len(headings) - num_texts)
    return [f"| {' | '.join(row)} |" for row in (headings, rule, *rows)]


def _plain(text: str) -> str:
    """Return someone's text as one line that is no Markdown: no markup, link, picture or new column."""
    return re.sub(r"([\\`*\[\]<>|~])", r"\\\1", " ".join(text.split()))
