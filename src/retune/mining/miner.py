"""Takes the negatives of one block of queries after another from ranges of ranks, judged documents and random ones."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from retune.core.errors import InputError
from retune.core.seeds import generator
from retune.encoding.encoder import Encoder
from retune.mining.candidates import NegativeCandidates, at_random, ranked
from retune.mining.false_negatives import FalseNegatives
from retune.mining.given_scores import GivenScores
from retune.mining.inputs import MiningInputs, PairScores, Vectors, flatten, starts
from retune.mining.offers import JUDGED, NOTHING, Offer
from retune.mining.outcome import Outcome
from retune.mining.rankings import Rankings
from retune.mining.selection import sampling_keys, take_first, within_limits
from retune.params.mine import Mine
from retune.retrieval.cross_encoder import CrossEncoderScorer

SPARE = 4  # random documents drawn for each one wanted: some are positives or over a limit
MAX_DRAWN = 4096  # random documents drawn for a query if those are not enough
RANDOM_PAIRS = 1000

Rngs = Mapping[int, np.random.Generator]


@dataclass(frozen=True)
class Found:
    """What mining found for some of the queries.

    Attributes:
        negatives: Their negatives.
        origins: The names of the origins that `negatives.origin` numbers.
        counts: By the name of the attribute of `Outcome`: its counts of these queries.
        num_candidates: As in `Outcome`, for these queries.
        short: Likewise.
    """

    negatives: NegativeCandidates
    origins: list[str]
    counts: Mapping[str, Mapping[str, int]]
    num_candidates: int
    short: list[str]


COUNTS = ("origins", "rejected", "outside", "truncated")  # of Found


class Miner:
    """Mines one block of queries after another.

    Attributes:
        outcome: The counts and scores so far; `mine` fills in the negatives.
    """

    def __init__(
        self, inputs: MiningInputs, ranker: Encoder, scorer: Encoder | CrossEncoderScorer, params: Mine, seed: int
    ) -> None:
        self.inputs, self.params, self.seed = inputs, params, seed
        self.below: float | None = None  # once some negatives were relabelled, new ones score below this
        self._origins: list[str] = []  # by their number in the negatives
        vectors = Vectors(inputs, ranker)
        self.rankings = Rankings(inputs, vectors, params, device=ranker.device, seed=seed)
        self.rules = FalseNegatives(inputs, params.near_duplicate)
        is_given = params.negatives_from == "scored"
        self.score: Callable[[np.ndarray, np.ndarray], np.ndarray] = (
            GivenScores(inputs, params.dataset)
            if is_given
            else PairScores(inputs, _scoring(inputs, vectors, ranker, scorer))
        )
        positives = self.score(*flatten(inputs.positives))
        self.outcome = Outcome(
            negatives=NOTHING,
            relevant=inputs.positives,
            positives=positives,
            lowest_positive=np.minimum.reduceat(positives, starts(inputs.positives)),
            random_pairs=np.zeros(0, np.float32) if is_given else self.score(*_random_pairs(inputs, seed)),
            recall=self.rankings.recall,
        )
        _check_floor(self.outcome, params)

    def found(self, negatives: NegativeCandidates) -> Found:
        """Return the negatives of the blocks so far, with all that was counted."""
        counts = {name: dict(getattr(self.outcome, name)) for name in COUNTS}
        return Found(negatives, list(self._origins), counts, self.outcome.num_candidates, list(self.outcome.short))

    def adopt(self, parts: Sequence[Found]) -> NegativeCandidates:
        """Return the negatives that others found for all queries, and count them as if they were found here."""
        negatives = [NOTHING]
        for part in parts:
            self._origins += [name for name in part.origins if name not in self._origins]
            numbers = np.array([self._origins.index(name) for name in part.origins], dtype=np.int64)
            negatives.append(replace(part.negatives, origin=numbers[part.negatives.origin]))
            for name in COUNTS:
                getattr(self.outcome, name).update(part.counts[name])
            self.outcome.num_candidates += part.num_candidates
            self.outcome.short += part.short
        return NegativeCandidates.join(negatives)

    def mine_block(self, rows: np.ndarray, taken: NegativeCandidates) -> NegativeCandidates:
        """Return the negatives of some queries, with those that they have already."""
        ids, params = self.inputs.queries["query_id"], self.params
        again = "" if self.below is None else "again "
        rngs = {row: generator(self.seed, f"{again}{ids[row]}") for row in rows.tolist()}
        if params.negatives_from in ("given", "scored") or (params.negatives_from == "mined" and params.keep_judged):
            queries, documents = flatten([self.inputs.judged[row] for row in rows])
            offer = Offer.judged(NegativeCandidates.of(rows[queries], documents))
            taken = self._take(offer, self.missing(taken), taken, rngs)
        if params.negatives_from == "mined":
            taken = self._take_ranges(rows, taken, rngs)
        short = rows[self.missing(taken)[rows] > 0]
        known = {*self.outcome.short} if again else set()
        self.outcome.short += [query_id for row in short if (query_id := str(ids[row])) not in known]
        if params.shortage == "random":
            heads = np.zeros((len(short), 0), dtype=np.int64)
            taken = self._take_random(Offer.filler(), short, heads, self.missing(taken), taken, rngs)
        return taken

    def _take_ranges(self, rows: np.ndarray, taken: NegativeCandidates, rngs: Rngs) -> NegativeCandidates:
        """Add each range's share of the negatives still missing."""
        rankings = self.rankings.of(rows)
        counts = np.array([self.params.counts(missing) for missing in range(self.params.negatives + 1)])
        wanted = counts[self.missing(taken)]  # (queries, ranges)
        for number, (first, stop, _) in enumerate(self.params.parts):
            if stop is None:
                heads = np.concatenate([ranking[:, :first] for ranking in rankings], axis=1)
                offer = Offer.tail(first, self.params.limits)
                taken = self._take_random(offer, rows, heads, wanted[:, number], taken, rngs)
            else:
                offer = Offer.slice(first, stop, ranked(rankings, rows, first, stop), self.params.limits)
                taken = self._take(offer, wanted[:, number], taken, rngs)
        return taken

    def _take_random(
        self,
        offer: Offer,
        rows: np.ndarray,
        heads: np.ndarray,
        wanted: np.ndarray,
        taken: NegativeCandidates,
        rngs: Rngs,
    ) -> NegativeCandidates:
        """Add random documents: from a small sample, then from a large one for queries that still lack some."""
        for size in (SPARE * (self.params.negatives + SPARE), MAX_DRAWN):
            is_short = wanted[rows] > 0
            rows, heads = rows[is_short], heads[is_short]
            if not len(rows):
                break
            size += heads.shape[1]
            drawn = at_random(rows, rngs, heads, size=size, num_documents=self.inputs.num_ranked)
            before = len(taken)
            taken = self._take(replace(offer, candidates=drawn), wanted, taken, rngs)
            wanted = wanted - np.bincount(taken.query[before:], minlength=len(wanted))
        return taken

    def _take(self, offer: Offer, wanted: np.ndarray, taken: NegativeCandidates, rngs: Rngs) -> NegativeCandidates:
        """Add the candidates of an offer that rules, limits and sampling select.

        Where neither limits nor sampling need scores, only the selected candidates are scored: cross-encoders are slow.
        """
        outcome, params = self.outcome, self.params
        is_again = self.below is not None
        is_scored = is_again or offer.limits is not None or (params.sampling != "uniform" and not offer.is_drawn)
        rejected = outcome.rejected if offer.counts_rejected and not is_again else Counter[str]()
        left = offer.candidates.take(wanted[offer.candidates.query] > 0)
        left = self.rules.reject(left, rejected, near=offer.rejects_near_duplicates)
        if offer.counts_candidates and not is_again:
            outcome.num_candidates += len(left)
        if is_scored:
            left = replace(left, score=self.score(left.query, left.document))
        if self.below is not None:
            left = left.take(left.score < self.below)
        if offer.limits is not None:
            outside = Counter[str]() if is_again else outcome.outside
            left = within_limits(left, outcome.lowest_positive, outcome.floor, offer.limits, outside)
        if not offer.is_drawn:
            left = replace(left, key=sampling_keys(left, params, rngs))
        new = take_first(left, self.rules.text_codes, wanted, taken)
        if not is_scored:
            new = replace(new, score=self.score(new.query, new.document))
        outcome.origins[offer.origin] += len(new)
        if offer.origin not in self._origins:
            self._origins.append(offer.origin)
        new = replace(new, origin=np.full(len(new), self._origins.index(offer.origin)))
        return NegativeCandidates.join([taken, new])

    def without(self, negatives: NegativeCandidates, answers: NegativeCandidates, below: float) -> NegativeCandidates:
        """Return the negatives that are none of the answers, and may stay beside them; the rest is never taken again.

        Args:
            negatives: The negatives of all queries.
            answers: Those of them that answer their query. Copies and near-duplicates of an answer go too, also where
                another query has the same text.
            below: What is taken from now on scores below this, so that nobody needs to be asked about it.
        """
        self.below = below
        inputs = self.inputs.with_positives(answers.query, answers.document)
        self.rules = FalseNegatives(inputs, self.params.near_duplicate)
        width = len(inputs.documents)
        is_answer = np.isin(negatives.query * width + negatives.document, answers.query * width + answers.document)
        left = negatives.take(~is_answer)
        is_judged = np.array([name == JUDGED for name in self._origins])[left.origin]
        kept = NegativeCandidates.join(
            [
                self.rules.reject(left.take(is_judged), self.outcome.rejected, near=False),
                self.rules.reject(left.take(~is_judged), self.outcome.rejected, near=True),
            ]
        )
        for origin, name in enumerate(self._origins):
            self.outcome.origins[name] -= int((negatives.origin == origin).sum() - (kept.origin == origin).sum())
        return kept

    def missing(self, taken: NegativeCandidates) -> np.ndarray:
        """Return how many negatives each query still lacks, by row."""
        return self.params.negatives - np.bincount(taken.query, minlength=len(self.inputs.queries))


def _random_pairs(inputs: MiningInputs, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows of queries and positions of documents that are not their positives."""
    rng = generator(seed, "random pairs")
    rows = rng.integers(len(inputs.queries), size=RANDOM_PAIRS)
    positions = rng.integers(len(inputs.documents), size=RANDOM_PAIRS)
    is_other = np.array([position not in inputs.positives[row] for row, position in zip(rows, positions, strict=True)])
    return rows[is_other], positions[is_other]


def _scoring(
    inputs: MiningInputs, vectors: Vectors, ranker: Encoder, scorer: Encoder | CrossEncoderScorer
) -> Vectors | CrossEncoderScorer:
    if scorer is ranker:
        return vectors
    return scorer if isinstance(scorer, CrossEncoderScorer) else Vectors(inputs, scorer)


def _check_floor(outcome: Outcome, params: Mine) -> None:
    needs_floor = params.negatives_from == "mined" and params.limits and params.limits.share_of_range is not None
    if needs_floor and not len(outcome.random_pairs):
        raise InputError(
            f"{params.dataset}: limits.share_of_range: expected random pairs of a query and another document, whose "
            "scores are the floor, got none; use another limit or a larger pool"
        )
