"""Examine a project: run every check, and put the findings into lines for people."""

from collections.abc import Callable, Iterator, Sequence

from retune.doctor.finding import Finding
from retune.doctor.of_data import cut_texts, leaks, unlike_queries
from retune.doctor.of_mining import mostly_fillers, negatives_above_positives
from retune.doctor.of_scores import bases_below_bm25, compressed_scores, small_test_sets
from retune.doctor.of_training import (
    dev_and_test_disagree,
    dev_still_rises,
    first_dev_score_is_best,
    flat_loss,
    unusual_learning_rate,
    zero_loss,
)
from retune.doctor.state import State

CHECKS: tuple[Callable[[State], Iterator[Finding]], ...] = (
    leaks,
    unlike_queries,
    cut_texts,
    mostly_fillers,
    negatives_above_positives,
    unusual_learning_rate,
    zero_loss,
    flat_loss,
    first_dev_score_is_best,
    dev_still_rises,
    dev_and_test_disagree,
    bases_below_bm25,
    compressed_scores,
    small_test_sets,
)


def examine(state: State) -> list[Finding]:
    """Return all findings, in the order of the stages."""
    return [finding for check in CHECKS for finding in check(state)]


def describe(state: State) -> str:
    """Return the findings, one on each line, or one line that says that there are none."""
    return "\n".join(lines(examine(state))) or _nothing(state)


def lines(findings: Sequence[Finding]) -> list[str]:
    """Return a Markdown list of findings."""
    return [f"- {finding.text}" for finding in findings]


def _nothing(state: State) -> str:
    if not state.count():
        return "There is nothing to examine yet: metrics/ has no file of an entry of params.yaml. Run dvc repro."
    return f"No findings: {len(CHECKS)} checks of metrics/ and params.yaml found nothing to change."
