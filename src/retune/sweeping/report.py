"""The tables of a sweep and of a learning curve, as Markdown, and what follows from them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from retune.core.markdown import table
from retune.sweeping.charts import curve_svg, sweep_svg
from retune.sweeping.configurations import Configuration, Sweep
from retune.sweeping.grid import as_text, described, experiment
from retune.sweeping.intervals import Change, changes
from retune.sweeping.training import Result
from retune.training.spec import Task


@dataclass(frozen=True)
class Outcome:
    """What a sweep has found so far.

    Attributes:
        sweep: All trainings.
        results: Those that finished, in the order of the sweep.
        failures: Those that failed, with the reason.
        untried: Those that were not tried yet.
    """

    sweep: Sweep
    results: Sequence[Result]
    failures: Sequence[tuple[Configuration, str]]
    untried: Sequence[Configuration]


@dataclass(frozen=True)
class Report:
    """A report and its chart."""

    text: str
    chart: str


def sweep_report(outcome: Outcome, chart: str) -> Report:
    """Return the table of a sweep, best first, and the command that runs the best.

    Args:
        outcome: What was found, with at least one result.
        chart: The chart's file, relative to the report.
    """
    sweep = outcome.sweep
    results = sorted(outcome.results, key=lambda result: -result.score)
    found, best = _changes(sweep, results), results[0].configuration
    metric, names = best.task.params.dev_metric, list(best.values)
    headings = [*(f"`{name}`" for name in names), *_headings(metric, sweep)]
    rows = [
        [*map(as_text, result.configuration.values.values()), *_row(result, change)]
        for result, change in zip(results, found, strict=True)
    ]
    sections = [
        [f"# Sweep of `{sweep.request.entry}`"],
        [_about(outcome)],
        table(headings, rows, num_texts=len(names)),
        [f"![change of each configuration]({chart})"],
        _rest(outcome),
        _selection(sweep, results),
        ["The best configuration, as an experiment:"],
        [f"    {experiment(sweep.request.model, best.values)}"],
    ]
    labels = [described(result.configuration.values) for result in results]
    return Report(_joined(sections), sweep_svg(labels, found, title=f"change of dev {metric}"))


def curve_report(outcome: Outcome, chart: str) -> Report:
    """Return the table of a learning curve, fewest queries first, and whether more labels would probably help."""
    sweep, results = outcome.sweep, outcome.results
    found = _changes(sweep, results)
    params = results[0].configuration.task.params
    queries = [int(result.configuration.values["queries"]) for result in results]
    rows = [
        [f"{result.configuration.values['share']:.0%}", f"{count:,}", *_row(result, change)]
        for result, count, change in zip(results, queries, found, strict=True)
    ]
    epochs = f"{params.all_epochs} epoch{'s' if params.all_epochs > 1 else ''}"
    sections = [
        [f"# Learning curve of `{sweep.request.entry}`"],
        [f"{_about(outcome)} Each training has {epochs}, so fewer queries mean fewer steps."],
        table(["share", "labelled queries", *_headings(params.dev_metric, sweep)], rows, num_texts=1),
        [f"![change over the number of labelled queries]({chart})"],
        _rest(outcome),
        [more_labels(results, sweep)] if len(results) > 1 else [],
    ]
    return Report(_joined(sections), curve_svg(queries, found, title=f"change of dev {params.dev_metric}"))


def more_labels(results: Sequence[Result], sweep: Sweep) -> str:
    """Say whether more labels would probably help, from the slope of the curve's last step and its interval."""
    fewer, more = results[-2:]
    [change] = changes([more.tuned - fewer.tuned], sweep.compare, sweep.seed)
    counts = [int(result.configuration.values["queries"]) for result in (fewer, more)]
    doublings = math.log2(counts[1] / counts[0])
    step = (
        f"from {counts[0]:,} to {counts[1]:,} queries the dev score changed by {change.mean:+.4f} "
        f"({_level(sweep)} interval {_between(change)}), which is {change.mean / doublings:+.4f} for each doubling"
    )
    scope = "The interval covers the choice of dev queries, not that of the training queries or the seed."
    if change.low > 0.0:
        return f"**More labels would probably help**: {step}. {scope}"
    if change.high < 0.0:
        return f"**More labels would probably not help**: {step}. {scope}"
    most = f"more than {change.high / doublings:+.4f} is unlikely"
    return f"**Whether more labels would help is open**: {step}, where {most}. {scope}"


def _changes(sweep: Sweep, results: Sequence[Result]) -> list[Change]:
    return changes([result.tuned - result.base for result in results], sweep.compare, sweep.seed)


def _about(outcome: Outcome) -> str:
    """Say what was trained and scored."""
    sweep, results = outcome.sweep, outcome.results
    task = results[0].configuration.task
    bases = {_compared(result.configuration.task): float(result.base.mean()) for result in results}
    scores = " and ".join(f"`{name}` scores {score:.4f}" for name, score in bases.items())
    count = len(sweep.configurations)
    drawn = f", drawn from {sweep.size} with seed {sweep.seed}" if count < sweep.size else ""
    return (
        f"{scores} on the {len(results[0].base):,} dev queries of `{task.dev.name}` (mean {task.params.dev_metric}). "
        f"{len(results)} of {count} trainings are finished{drawn}. Test queries were not read."
    )


def _compared(task: Task) -> str:
    """Return the name of what the trainings are compared with: the base, or the first stage of a cross-encoder."""
    return task.guide.name if task.params.method == "cross_encoder" else task.base.name


def _headings(metric: str, sweep: Sweep) -> list[str]:
    return [f"dev {metric}", "change", f"{_level(sweep)} interval", "best step", "minutes"]


def _row(result: Result, change: Change) -> list[str]:
    steps = f"{result.best_step} of {result.steps}"
    return [f"{result.score:.4f}", f"{change.mean:+.4f}", _between(change), steps, f"{result.minutes:.1f}"]


def _selection(sweep: Sweep, results: Sequence[Result]) -> list[str]:
    """Warn that the best of several scores is optimistic, and count those that are as good as can be told."""
    if len(results) < 2:
        return []
    best, *others = results
    behind = changes([best.tuned - other.tuned for other in others], sweep.compare, sweep.seed)
    close = sum(not change.is_clear for change in behind)
    return [
        f"The best of {len(results)} dev scores is optimistic, because it was selected for being high: expect less on "
        f"test queries. {close} of the others may be as good, as the {_level(sweep)} interval of their difference from "
        "the best includes 0."
    ]


def _rest(outcome: Outcome) -> list[str]:
    """Name the configurations that failed, and those that were not tried."""
    lines = [f"- **Failed**: {described(failed.values)}: {reason}" for failed, reason in outcome.failures]
    lines += [f"- **Not tried yet**: {described(untried.values)}" for untried in outcome.untried]
    return [*lines, *(["", "The same command continues with them."] if lines else [])]


def _between(change: Change) -> str:
    return f"{change.low:+.4f} to {change.high:+.4f}"


def _level(sweep: Sweep) -> str:
    return f"{100 * sweep.compare.confidence:g} %"


def _joined(sections: Iterable[Sequence[str]]) -> str:
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"
