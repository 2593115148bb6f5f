"""Selecting a query's negatives among its candidates: limits on scores, the order of sampling, no text twice."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from retune.mining.candidates import NegativeCandidates
from retune.params.mine import Limits, Mine


def within_limits(
    candidates: NegativeCandidates, positive: np.ndarray, floor: float, limits: Limits, rejected: Counter[str]
) -> NegativeCandidates:
    """Return the candidates whose scores are within the limits.

    `percent_of_positive` is TopK-PercPos and `absolute_margin` is TopK-MarginPos of NV-Retriever (arXiv:2407.15831);
    the former is changed so that it also works for positives with scores below 0. `share_of_range` measures from the
    floor instead of from 0, so it means the same for models whose cosines are all high.

    Args:
        candidates: Candidates with scores.
        positive: The lowest score of each query's positives, by row of the query.
        floor: The median score of random pairs; used by `share_of_range` alone.
        limits: The limits; those that are None are ignored.
        rejected: Counts candidates by the first limit that rejects them; updated in place.
    """
    for name, value in limits:
        if value is None:
            continue
        lowest = positive[candidates.query]
        ceiling = {
            "absolute_margin": lowest - value,
            "relative_margin": lowest - value * np.abs(lowest),
            "percent_of_positive": lowest - (1.0 - value) * np.abs(lowest),
            "share_of_range": lowest - (1.0 - value) * np.abs(lowest - floor),
            "max_score": np.full(len(lowest), value),
            "min_score": np.full(len(lowest), np.inf),
        }[name]
        least = value if name == "min_score" else -np.inf
        is_rejected = (candidates.score > ceiling) | (candidates.score < least)
        rejected[name] += int(is_rejected.sum())
        candidates = candidates.take(~is_rejected)
    return candidates


def sampling_keys(candidates: NegativeCandidates, params: Mine, rngs: Mapping[int, np.random.Generator]) -> np.ndarray:
    """Return keys that sort each query's candidates in the order of sampling, (pairs,).

    Sampling by score draws without replacement, with weights exp(score / temperature), by the Gumbel-top-k trick
    (Kool et al., arXiv:1903.06059).

    Args:
        candidates: Candidates with scores; those of a query are contiguous.
        params: The recipe, which says how to sample.
        rngs: A generator for each query, by its row, used for that query's candidates only.
    """
    if params.sampling == "top":
        return -candidates.score.astype(float)
    keys = [np.zeros(0)]
    for row, count in zip(*(part.tolist() for part in np.unique(candidates.query, return_counts=True)), strict=True):
        if params.sampling_temperature is None:
            keys.append(np.argsort(rngs[row].permutation(count)).astype(float))
        else:
            keys.append(-rngs[row].gumbel(size=count))
    if params.sampling_temperature is None:
        return np.concatenate(keys)
    return np.concatenate(keys) - candidates.score / params.sampling_temperature


def take_first(
    candidates: NegativeCandidates, texts: np.ndarray, wanted: np.ndarray, taken: NegativeCandidates
) -> NegativeCandidates:
    """Return each query's first candidates by key, without repeating a text.

    Args:
        candidates: Candidates with keys; equal keys keep their order.
        texts: A code for each document's text, by position; equal texts have equal codes.
        wanted: How many to take, by row of the query.
        taken: The candidates already taken, whose texts are not taken again.
    """
    width = int(texts.max(initial=0)) + 1
    in_order = candidates.take(np.lexsort((candidates.key, candidates.query)))
    pairs = in_order.query * width + texts[in_order.document]
    is_first = np.zeros(len(pairs), dtype=bool)
    is_first[np.unique(pairs, return_index=True)[1]] = True
    is_new = ~np.isin(pairs, taken.query * width + texts[taken.document])
    distinct = in_order.take(is_first & is_new)
    starts = np.searchsorted(distinct.query, distinct.query)
    return distinct.take(np.arange(len(distinct)) - starts < wanted[distinct.query])
