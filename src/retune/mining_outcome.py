"""What mining did, for the audit, and whether it is good enough to go on."""

import logging
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from retune.candidates import Candidates
from retune.errors import InputError
from retune.mining_inputs import PairScores
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
        score: Scores any pairs.
        recall: Of the search, where it is not exact.
        origins: Negatives by where they come from: a range, `judged` or `random`.
        rejected: Candidates by the rule that says they may answer the query.
        num_candidates: In the ranges, those rejected left out.
        outside: Candidates by the limit they do not keep to.
        short: Ids of queries with fewer negatives than wanted, before random ones fill up.
    """

    negatives: Candidates
    positives: np.ndarray
    lowest_positive: np.ndarray
    score: PairScores
    recall: float | None
    origins: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    num_candidates: int = 0
    outside: Counter[str] = field(default_factory=Counter)
    short: list[str] = field(default_factory=list)


def check_outcome(outcome: Outcome, params: Mine, num_queries: int) -> None:
    """Refuse limits that leave nothing, and a shortage where the recipe allows none.

    Raises:
        InputError: With the shares of the limits, or the queries that are short.
    """
    outside = outcome.outside.total()
    if outcome.num_candidates and outcome.origins.total() == outcome.origins[JUDGED] + outcome.origins[RANDOM]:
        shares = ", ".join(f"{name} {count / outside:.1%}" for name, count in outcome.outside.items() if count)
        raise InputError(
            f"{params.dataset}: limits: expected candidates within them, all {outcome.num_candidates:,} are outside "
            f"({shares}); loosen them or take another range"
        )
    if outside > MANY * outcome.num_candidates:
        LOG.warning("limits reject %d of %d candidates", outside, outcome.num_candidates)
    if outcome.short and params.shortage == "fail":
        raise InputError(
            f"{params.dataset}: expected {params.negatives} negatives for every query, {len(outcome.short)} of "
            f"{num_queries} have fewer, first: {outcome.short[0]!r}; widen the range, loosen limits, or take "
            "shortage: fewer or random"
        )
