"""Give every training query hard negatives: documents a model ranks high that are not relevant to it."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from tqdm import tqdm

from retune.candidates import Candidates, at_random, ranked
from retune.encoding import Encoder
from retune.errors import InputError
from retune.false_negatives import FalseNegatives
from retune.mining_inputs import Inputs, PairScores, Vectors, flatten
from retune.mining_outcome import JUDGED, RANDOM, Outcome, check_outcome
from retune.params.mine import Mine
from retune.ranking import Rankings
from retune.records import Mined
from retune.rescoring import CrossEncoderScorer
from retune.seeds import generator
from retune.selection import sampling_keys, take_first, within_limits

LOG = logging.getLogger(__name__)

QUERIES_A_BLOCK = 1024  # bounds the memory for rankings and candidates
NOTHING = Candidates.of(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))

Rngs = Mapping[int, np.random.Generator]


def mine(
    inputs: Inputs, ranker: Encoder, scorer: Encoder | CrossEncoderScorer, params: Mine, *, seed: int
) -> tuple[Mined, Outcome]:
    """Rank the pool for every query, and take negatives from ranges of ranks, within limits.

    Ranks count from 0 with the positives still in the ranking, as the field's mining scripts do. What must never
    be a negative: see `FalseNegatives`. Each query draws from its own generator, so its negatives do not depend on
    other queries or on order.

    Args:
        inputs: Queries, documents and judgments.
        ranker: Its vectors are searched.
        scorer: Its scores are limited and kept; the same object as `ranker`, a cross-encoder, or another encoder.
        params: The recipe.
        seed: Of all draws.

    Raises:
        InputError: A range begins beyond the corpus, limits leave nothing, or a query is short of negatives and the
            recipe says fail.
    """
    _check_ranges(inputs, params)
    miner = _Miner(inputs, ranker, scorer, params, seed)
    taken = [NOTHING]
    rows = np.arange(len(inputs.queries))
    with tqdm(total=len(rows), desc="mine", unit="query", leave=False, mininterval=1.0) as progress:
        for start in range(0, len(rows) if params.negatives else 0, QUERIES_A_BLOCK):
            block = rows[start : start + QUERIES_A_BLOCK]
            taken.append(miner.mine_block(block))
            progress.update(len(block))
    check_outcome(miner.outcome, params, len(rows))
    negatives = Candidates.join(taken)
    miner.outcome.negatives = negatives.take(np.lexsort((negatives.document, -negatives.score, negatives.query)))
    return _mined(inputs, miner.outcome, params.dataset), miner.outcome


@dataclass(frozen=True)
class _Offer:
    """Candidates from one place."""

    origin: str
    count: int  # wanted of each query
    candidates: Candidates
    is_drawn: bool = False  # at random: their order is the sample's


class _Miner:
    """Mines one block of queries after the other."""

    def __init__(
        self, inputs: Inputs, ranker: Encoder, scorer: Encoder | CrossEncoderScorer, params: Mine, seed: int
    ) -> None:
        self.inputs, self.params, self.seed = inputs, params, seed
        vectors = Vectors(inputs, ranker)
        self.rankings = Rankings(inputs, vectors, params, device=ranker.device, seed=seed)
        self.rules = FalseNegatives(inputs, params.near_duplicate)
        score = PairScores(inputs, _scoring(inputs, vectors, ranker, scorer))
        positives = score(*flatten(inputs.positives))
        lowest = np.minimum.reduceat(positives, _starts(inputs.positives))
        self.outcome = Outcome(NOTHING, positives, lowest, score, self.rankings.recall)

    def mine_block(self, rows: np.ndarray) -> Candidates:
        """Return the negatives of some queries."""
        ids = self.inputs.queries["query_id"]
        rngs = {row: generator(self.seed, ids[row]) for row in rows.tolist()}
        taken = NOTHING
        for offer in self._offers(rows, rngs):
            taken = self._take(offer, taken, rngs)
        short = rows[self._missing(taken)[rows] > 0]
        self.outcome.short += [str(ids[row]) for row in short]
        if len(short) and self.params.shortage == "random":
            count = self.params.negatives  # not what is missing: that depends on other queries
            heads = [np.zeros(0, dtype=np.int64)] * len(short)
            taken = self._take(_Offer(RANDOM, count, self._draw(short, rngs, heads, count), True), taken, rngs)
        return taken

    def _offers(self, rows: np.ndarray, rngs: Rngs) -> Iterator[_Offer]:
        """Yield the places that negatives are taken from, one after the other."""
        params = self.params
        if params.source == "given" or (params.source == "mined" and params.keep_judged):
            queries, documents = flatten([self.inputs.judged[row] for row in rows])
            yield _Offer(JUDGED, params.negatives, Candidates.of(rows[queries], documents))
        if params.source != "mined":
            return
        rankings = self.rankings.of(rows)
        for first, stop, count in params.parts:
            if stop is not None:
                yield _Offer(f"[{first}, {stop})", count, ranked(rankings, rows, first, stop))
            else:
                heads = list(np.concatenate([ranking[:, :first] for ranking in rankings], axis=1))
                yield _Offer(f"[{first}, end)", count, self._draw(rows, rngs, heads, count), is_drawn=True)

    def _draw(self, rows: np.ndarray, rngs: Rngs, heads: Sequence[np.ndarray], count: int) -> Candidates:
        of_rows = [rngs[row] for row in rows.tolist()]
        return at_random(rows, of_rows, heads, count=count, num_documents=self.inputs.num_ranked)

    def _take(self, offer: _Offer, taken: Candidates, rngs: Rngs) -> Candidates:
        """Add to what is taken what rules, limits and sampling choose from an offer."""
        outcome, params = self.outcome, self.params
        rejected, outside = outcome.rejected, outcome.outside
        if offer.origin == RANDOM:  # drawn to spare: what is rejected of it says nothing
            rejected, outside = Counter(), Counter()
        left = self.rules.reject(offer.candidates, rejected, near=offer.origin != JUDGED)
        left = replace(left, score=outcome.score(left.query, left.document))
        if offer.origin not in (JUDGED, RANDOM):
            outcome.num_candidates += len(left)
        if params.limits and offer.origin != JUDGED:
            left = within_limits(left, outcome.lowest_positive, params.limits, outside)
        if not offer.is_drawn:
            left = replace(left, key=sampling_keys(left, params, rngs))
        wanted = np.minimum(self._missing(taken), offer.count)
        new = take_first(left, self.rules.text_codes, wanted, taken)
        outcome.origins[offer.origin] += len(new)
        return Candidates.join([taken, new])

    def _missing(self, taken: Candidates) -> np.ndarray:
        """Return how many negatives each query still wants, by row."""
        return self.params.negatives - np.bincount(taken.query, minlength=len(self.inputs.queries))


def _scoring(
    inputs: Inputs, vectors: Vectors, ranker: Encoder, scorer: Encoder | CrossEncoderScorer
) -> Vectors | CrossEncoderScorer:
    if scorer is ranker:
        return vectors
    return scorer if isinstance(scorer, CrossEncoderScorer) else Vectors(inputs, scorer)


def _starts(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.cumsum([0, *(len(array) for array in arrays)])[:-1]


def _check_ranges(inputs: Inputs, params: Mine) -> None:
    if params.source != "mined":
        return
    for first, stop, _ in params.parts:
        if first >= inputs.num_ranked:
            raise InputError(
                f"{params.dataset}: range: expected a first rank below the {inputs.num_ranked} documents of "
                f"{params.pool!r}, got {first}; lower it"
            )
        if stop is not None and stop > inputs.num_ranked:
            LOG.warning("range [%d, %d) ends at the last of %d documents", first, stop, inputs.num_ranked)


def _mined(inputs: Inputs, outcome: Outcome, dataset: str) -> Mined:
    """Put positives and negatives together, with the texts they name."""
    ids = inputs.documents["doc_id"].to_numpy()
    negatives = outcome.negatives
    cuts = np.searchsorted(negatives.query, np.arange(1, len(inputs.queries)))
    examples = pd.DataFrame(
        {
            "query_id": inputs.queries["query_id"],
            "positive_ids": [ids[positions].tolist() for positions in inputs.positives],
            "negative_ids": [part.tolist() for part in np.split(ids[negatives.document], cuts)],
            "positive_scores": [part.tolist() for part in np.split(outcome.positives, _starts(inputs.positives)[1:])],
            "negative_scores": [part.tolist() for part in np.split(negatives.score, cuts)],
            "source": dataset,
        }
    )
    named = np.unique(np.concatenate([negatives.document, *inputs.positives]))
    return Mined(examples, inputs.queries, inputs.documents.iloc[named].reset_index(drop=True))
