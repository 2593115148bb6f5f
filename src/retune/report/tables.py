"""The tables of the Markdown report."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from retune.comparison.compare import Comparison
from retune.comparison.model_verdicts import ModelVerdict
from retune.comparison.pairs import PairDifference
from retune.comparison.score_tables import ScoreTable
from retune.comparison.significance import POWER
from retune.comparison.slices import SliceChange
from retune.comparison.verdict import Measurement
from retune.comparison.wording import MARKS, p_value
from retune.core.markdown import table

WEAKEST_SLICES = 3  # of each tuned model


def matrix(comparison: Comparison) -> list[str]:
    """Return models by data sets: the score with the change from the base in brackets, bold at home."""
    rows = []
    for model in dict.fromkeys(measurement.model for measurement in comparison.measurements):
        texts = [
            f"**{score_with_change(measurement)}**" if measurement.is_home else score_with_change(measurement)
            for measurement in comparison.of(model)
        ]
        rows.append([f"`{model}`", *texts])
    return table(["model", *comparison.test_sets.values()], rows, num_texts=1)


def score_with_change(measurement: Measurement) -> str:
    """Return a score, and for a tuned model also its change with the mark of the verdict."""
    score = f"{measurement.score:.4f}"
    if measurement.change is None or measurement.word is None:
        return score
    return f"{score} ({measurement.change:+.4f} {MARKS[measurement.word].sign})"


def tuned_models(comparison: Comparison, verdicts: Sequence[ModelVerdict]) -> list[str]:
    """Return the gain at home and the change elsewhere of each tuned model."""
    headings = ["tuned model", "base", "tuned for", "gain", "share of the best gain"]
    headings += ["mean change elsewhere", "worst change elsewhere", "queries better / worse"]
    rows = []
    for verdict in verdicts:
        home = comparison.home(verdict.model)
        kept = "" if verdict.gain_kept is None else f"{100 * verdict.gain_kept:.0f} %"
        elsewhere = [
            "not measured" if change is None else f"{change:+.4f}"
            for change in (verdict.backward_transfer, verdict.worst_change_elsewhere)
        ]
        texts = [f"`{verdict.model}`", f"`{verdict.base}`", home.test_set]
        rows.append([*texts, f"{verdict.gain:+.4f}", kept, *elsewhere, f"{home.better} / {home.worse}"])
    return table(headings, rows, num_texts=3)


def statistics(comparison: Comparison) -> list[str]:
    """Return the statistics of every tuned model on every data set."""
    headings = ["tuned model", "data set", "verdict", "change", "confidence interval", "p", "corrected p"]
    headings += ["detectable change", "queries"]
    rows = []
    for measurement in comparison.measurements:
        if measurement.base is None:
            continue
        dataset = f"**{measurement.test_set}**" if measurement.is_home else measurement.test_set
        numbers = ["", "", "", ""]
        if measurement.p is not None and measurement.p_holm is not None:
            detectable = "" if measurement.mde is None else f"{measurement.mde:.4f}"
            interval = f"{measurement.low:+.4f} to {measurement.high:+.4f}"
            numbers = [interval, p_value(measurement.p), p_value(measurement.p_holm), detectable]
        texts = [f"`{measurement.model}`", dataset, measurement.word or ""]
        rows.append([*texts, f"{measurement.change or 0.0:+.4f}", *numbers, f"{measurement.queries:,}"])
    return table(headings, rows, num_texts=3)


def statistics_note(comparison: Comparison) -> str:
    """Return what the columns of `statistics` mean."""
    params = comparison.params
    tested = sum(measurement.p is not None for measurement in comparison.measurements)
    return (
        f"The confidence intervals are {100 * params.confidence:g} % bootstrap intervals. p comes from a paired "
        f"randomisation test; the corrected p allows for {tested} tests (Holm), and is significant up to "
        f"{params.significance:g}. Non-inferior: the lower end of the interval on another data set is above "
        f"-{params.margin:g}. The detectable change is one that this number of queries shows in "
        f"{100 * POWER:.0f} of 100 cases."
    )


def seed_spreads(comparison: Comparison) -> list[str]:
    """Return the mean and the spread of the changes of models that were trained with several seeds."""
    headings = ["tuned model", "data set", "seeds", "change with this seed", "mean", "standard deviation"]
    rows = []
    for measurement in comparison.measurements:
        if measurement.model in comparison.params.seeds and measurement.seed_mean is not None:
            changes = [f"{change or 0.0:+.4f}" for change in (measurement.change, measurement.seed_mean)]
            texts = [f"`{measurement.model}`", measurement.test_set, str(measurement.seeds)]
            rows.append([*texts, *changes, f"{measurement.seed_spread:.4f}"])
    return table(headings, rows, num_texts=2) if rows else []


def pairs(comparison: Comparison, found: Sequence[PairDifference]) -> list[str]:
    """Return the difference between the models of each pair on each data set."""
    headings = ["model", "against", "data set", "difference", "confidence interval", "corrected p"]
    headings += ["queries better / worse"]
    rows = []
    for pair in found:
        numbers = ["", ""]
        if pair.p_holm is not None:
            numbers = [f"{pair.low:+.4f} to {pair.high:+.4f}", p_value(pair.p_holm)]
        texts = [f"`{pair.model}`", f"`{pair.other}`", comparison.test_sets[pair.dataset]]
        rows.append([*texts, f"{pair.difference:+.4f}", *numbers, f"{pair.better} / {pair.worse}"])
    if not rows:
        return []
    params = comparison.params
    note = (
        f"The difference is the model's {params.metric} minus that of the other; above 0 the first is better. The "
        f"confidence intervals are {100 * params.confidence:g} % bootstrap intervals. The corrected p, of a paired "
        f"randomisation test, allows for all {len(rows)} rows (Holm). Both leave out the variance between training "
        "seeds."
    )
    return [*table(headings, rows, num_texts=3), "", note]


def references(comparison: Comparison, tables: Sequence[ScoreTable]) -> list[str]:
    """Return published results above those of our models, in one table for each data set that has some."""
    lines: list[str] = []
    for scores in tables:
        given = [reference for reference in comparison.params.references if reference.dataset == scores.dataset]
        if given:
            metrics = list(dict.fromkeys(metric for reference in given for metric in reference.values))
            published = [
                [plain(reference.name), *(_number(reference.values.get(metric)) for metric in metrics)]
                for reference in given
            ]
            ours = [
                [f"`{model}`", *(_number(scores.mean(model, metric)) for metric in metrics)] for model in scores.models
            ]
            lines += [
                *table([f"on {comparison.test_sets[scores.dataset]}", *metrics], [*published, *ours], num_texts=1),
                "",
            ]
    return lines


def weakest_slices(
    comparison: Comparison, changes: Sequence[SliceChange], verdicts: Sequence[ModelVerdict]
) -> list[str]:
    """Return the slices on which each tuned model gained least or lost most."""
    headings = ["tuned model", "data set", "slice", "queries", "base", "change", "confidence interval"]
    rows = []
    for verdict in verdicts:
        large = [change for change in changes if change.model == verdict.model and change.low is not None]
        for change in sorted(large, key=lambda slice_change: slice_change.change)[:WEAKEST_SLICES]:
            name = plain(f"{change.slice}: {change.value}")
            numbers = [f"{change.queries:,}", f"{change.base_score:.4f}", f"{change.change:+.4f}"]
            interval = f"{change.low:+.4f} to {change.high:+.4f}"
            rows.append([f"`{verdict.model}`", comparison.test_sets[change.dataset], name, *numbers, interval])
    return table(headings, rows, num_texts=3) if rows else []


def similarities(comparison: Comparison, pair_scores: Mapping[tuple[str, str], Any]) -> list[str]:
    """Return medians of the cosines of relevant and of random pairs."""
    headings = ["model", "data set", "relevant pairs, median", "random pairs, median", "random pairs, 95th percentile"]
    rows = []
    for (model, dataset), content in pair_scores.items():
        random_pairs = content["random_pairs"]
        numbers = [content["positives"].get("p50"), random_pairs.get("p50"), random_pairs.get("p95")]
        rows.append([f"`{model}`", comparison.test_sets[dataset], *(_number(number) for number in numbers)])
    return table(headings, rows, num_texts=2) if rows else []


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def plain(text: str) -> str:
    """Return a user's text on one line and escaped, so that it contains no markup, link, picture or new column."""
    return re.sub(r"([\\`*\[\]<>|~])", r"\\\1", " ".join(text.split()))
