"""The outcome of mining, for the audit, and the checks that it must pass."""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from retune.core.errors import InputError
from retune.mining.candidates import NegativeCandidates
from retune.mining.inputs import flatten, split_rows, starts
from retune.mining.relabel import Relabelled
from retune.params.mine import Mine

LOG = logging.getLogger(__name__)

MANY = 0.9  # a larger share of candidates outside the limits gives a warning
MOST = 0.5  # so does a larger share of negatives that only fill up
FILLER = "random"  # the origin of negatives that fill up where ranges and limits leave too few


@dataclass
class Outcome:
    """The result of mining, with counts for the audit.

    Attributes:
        negatives: All negatives, each query's hardest first.
        relevant: The positions of each query's positives, sorted, with those that relabelling adds.
        positives: The scores of all positives, query after query.
        lowest_positive: The lowest score of each query's positives.
        random_pairs: The scores of random pairs of a query and a document that is not its positive.
        recall: The recall of the search; None if the search is exact.
        truncated: The number of texts that the models cut to their maximum length, by role; `pairs` of a cross-encoder.
        origins: The number of negatives, by origin: a range, `judged` or `random`.
        rejected: The number of candidates that may answer the query, by the rule that rejects them.
        num_candidates: The number of candidates in the ranges that no rule rejects.
        outside: The number of candidates outside the limits, by the limit they exceed.
        short: The ids of queries with fewer negatives than wanted, before random ones are added.
        relabelled: The negatives that answer their query; None if none were asked.
    """

    negatives: NegativeCandidates
    relevant: Sequence[np.ndarray]
    positives: np.ndarray
    lowest_positive: np.ndarray
    random_pairs: np.ndarray
    recall: float | None
    truncated: Counter[str] = field(default_factory=Counter)
    origins: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    num_candidates: int = 0
    outside: Counter[str] = field(default_factory=Counter)
    short: list[str] = field(default_factory=list)
    relabelled: Relabelled | None = None

    @property
    def floor(self) -> float:
        """The median score of random pairs, or NaN if there are none."""
        return float(np.median(self.random_pairs)) if len(self.random_pairs) else math.nan

    def add_positives(self, answers: NegativeCandidates) -> None:
        """Add negatives that answer their query to its positives, with their scores."""
        rows, positions = flatten(self.relevant)
        rows, positions = np.r_[rows, answers.query], np.r_[positions, answers.document]
        order = np.lexsort((positions, rows))
        self.relevant = split_rows(rows[order], positions[order], len(self.relevant))
        self.positives = np.r_[self.positives, answers.score][order]
        self.lowest_positive = np.minimum.reduceat(self.positives, starts(self.relevant))


def check_outcome(outcome: Outcome, params: Mine, num_queries: int) -> None:
    """Refuse an outcome where limits exclude all candidates, there are no negatives, or too few of them.

    Raises:
        InputError: One of these is the case; too few negatives are an error only if the recipe says `shortage: fail`.
    """
    outside = outcome.outside.total()
    if outside and outside == outcome.num_candidates:
        raise InputError(
            f"{params.dataset}: limits: expected candidates within the limits, got all {outside:,} outside "
            f"({_shares(outcome.outside)}); loosen the limits, or use another range"
        )
    if params.negatives and not outcome.origins.total():
        raise InputError(
            f"{params.dataset}: expected negatives, got none (rejected: {_shares(outcome.rejected) or 'nothing'}); "
            "widen the range, or use another ranking"
        )
    if outside > MANY * outcome.num_candidates:
        LOG.warning("limits reject %d of %d candidates", outside, outcome.num_candidates)
    if outcome.origins[FILLER] > MOST * outcome.origins.total():
        LOG.warning("%s: %s", params.dataset, _about_fillers(outcome))
    if outcome.short and params.shortage == "fail":
        raise InputError(
            f"{params.dataset}: expected {params.negatives} negatives for every query, got fewer for "
            f"{len(outcome.short)} of {num_queries} queries, first: {outcome.short[0]!r}; widen the range, loosen the "
            "limits, or set shortage: fewer or random"
        )


def _about_fillers(outcome: Outcome) -> str:
    """Describe an outcome whose negatives are mostly random, and say what to change."""
    random, total = outcome.origins[FILLER], outcome.origins.total()
    outside, candidates = outcome.outside.total(), outcome.num_candidates
    return (
        f"{random:,} of {total:,} negatives ({random / total:.0%}) are random documents, which are easy: limits reject "
        f" {outside:,} of {candidates:,} candidates ({_shares(outcome.outside) or 'none'}). The median score "
        f"is {np.median(outcome.positives):.2f} for positives and {outcome.floor:.2f} for random pairs. If these are "
        "close, set limits: {percent_of_positive: null, share_of_range: 0.9}; otherwise loosen the limits or widen the "
        "range"
    )


def _shares(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count / counts.total():.1%}" for name, count in counts.items() if count)
