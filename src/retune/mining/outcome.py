"""What mining did, for the audit, and whether it is good enough to go on."""

import logging
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from retune.core.errors import InputError
from retune.mining.candidates import Candidates
from retune.params.mine import Mine

LOG = logging.getLogger(__name__)

JUDGED, RANDOM = "judged", "random"  # where negatives come from that come from no range
MANY = 0.9  # of the candidates outside the limits: worth a warning


@dataclass
class Outcome:
    """What mining did, for the audit.

    Attributes:
        negatives: All of them, a query's hardest first.
        positives: Scores of all positives, query after query.
        lowest_positive: The lowest of each query's.
        random_pairs: Scores of random pairs of a query and a document that is not its positive.
        recall: Of the search, where it is not exact.
        truncated: Texts that the encoders cut to their maximum length, by role.
        origins: Negatives by where they come from: a range, `judged` or `random`.
        rejected: Candidates by the rule that says they may answer the query.
        num_candidates: In the ranges, those rejected left out.
        outside: Candidates by the limit they do not keep to.
        short: Ids of queries with fewer negatives than wanted, before random ones fill up.
    """

    negatives: Candidates
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


def check_outcome(outcome: Outcome, params: Mine, num_queries: int) -> None:
    """Refuse limits that leave nothing, no negatives at all, and a shortage where the recipe allows none.

    Raises:
        InputError: With the shares of the limits, or the queries that are short.
    """
    outside = outcome.outside.total()
    if outside and outside == outcome.num_candidates:
        raise InputError(
            f"{params.dataset}: limits: expected candidates within them, all {outside:,} are outside "
            f"({_shares(outcome.outside)}); loosen them or take another range"
        )
    if params.negatives and not outcome.origins.total():
        raise InputError(
            f"{params.dataset}: expected negatives, found none (rejected: {_shares(outcome.rejected) or 'nothing'}); "
            "widen the range, or take another ranking"
        )
    if outside > MANY * outcome.num_candidates:
        LOG.warning("limits reject %d of %d candidates", outside, outcome.num_candidates)
    if outcome.short and params.shortage == "fail":
        raise InputError(
            f"{params.dataset}: expected {params.negatives} negatives for every query, {len(outcome.short)} of "
            f"{num_queries} have fewer, first: {outcome.short[0]!r}; widen the range, loosen limits, or take "
            "shortage: fewer or random"
        )


def _shares(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count / counts.total():.1%}" for name, count in counts.items() if count)
