"""Findings about mined negatives."""

from collections.abc import Iterator

from retune.doctor.finding import Finding
from retune.doctor.state import State, number
from retune.doctor.thresholds import MANY_ABOVE_POSITIVE, MOST_FILLERS


def mostly_fillers(state: State) -> Iterator[Finding]:
    """Most negatives fill up where ranges and limits left too few: they are random, so training learns little."""
    for recipe, audit in state.mined.items():
        fillers, negatives = number(audit, "negatives_from", "random"), number(audit, "negatives")
        if fillers and negatives and fillers / negatives > MOST_FILLERS:
            floor, positive = number(audit, "random_score", "p50"), number(audit, "positive_score", "p50")
            scores = "" if floor is None or positive is None else f" ({floor:.2f} and {positive:.2f} at the median)"
            yield Finding(
                f"mine.{recipe}",
                f"{fillers:,.0f} of {negatives:,.0f} negatives ({fillers / negatives:.0%}) are random documents.",
                "Range and limits leave too few, and random ones are easy, so the model learns little from them.",
                f"If random pairs score almost as high as positives{scores}, set limits: {{percent_of_positive: null, "
                "share_of_range: 0.9}; otherwise loosen the limits or widen the range.",
            )


def negatives_above_positives(state: State) -> Iterator[Finding]:
    """Many negatives score above a positive of their query: many may be answers, or the scorer is weak here."""
    for recipe, audit in state.mined.items():
        share = number(audit, "negatives_above_lowest_positive")
        if share is not None and share > MANY_ABOVE_POSITIVE:
            yield Finding(
                f"mine.{recipe}",
                f"{share:.1%} of the negatives score above their query's lowest positive.",
                "Many of them may in fact be answers, or the scorer is weak on this data.",
                "Read suspects.parquet of the mined set, and set limits or a better scorer. If there are limits, set "
                "shortage: fewer, as random documents that fill up are not limited.",
            )
