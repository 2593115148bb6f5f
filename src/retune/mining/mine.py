"""Mining: give every training query hard negatives, irrelevant documents that a model ranks high."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from tqdm import tqdm

from retune.core.errors import InputError
from retune.core.records import Mined
from retune.core.seeds import generator
from retune.encoding.encoder import Encoder
from retune.mining.candidates import NegativeCandidates, at_random, ranked
from retune.mining.cross_encoder import CrossEncoderScorer
from retune.mining.false_negatives import FalseNegatives
from retune.mining.given_scores import GivenScores
from retune.mining.inputs import MiningInputs, PairScores, Vectors, flatten
from retune.mining.offers import NOTHING, Offer
from retune.mining.outcome import Outcome, check_outcome
from retune.mining.rankings import Rankings
from retune.mining.selection import sampling_keys, take_first, within_limits
from retune.params.mine import Mine
from retune.retrieval.exact import TILES

LOG = logging.getLogger(__name__)

CANDIDATES_A_BLOCK = 2**20  # bounds the memory for rankings and candidates
SPARE = 4  # random documents drawn for each one wanted: some are positives or over a limit
MAX_DRAWN = 4096  # random documents drawn for a query if those are not enough
RANDOM_PAIRS = 1000

Rngs = Mapping[int, np.random.Generator]


def mine(
    inputs: MiningInputs, ranker: Encoder, scorer: Encoder | CrossEncoderScorer, params: Mine, *, seed: int
) -> tuple[Mined, Outcome]:
    """Rank the pool for every query, and take negatives from ranges of ranks, within limits.

    Ranks count from 0 and include the positives, as in other mining scripts. `FalseNegatives` lists which documents are
    never negatives. Each query has a random generator, so its negatives do not depend on other queries or their order.

    Args:
        inputs: Queries, documents and judgments.
        ranker: The encoder that ranks the pool.
        scorer: The model whose scores the limits apply to, and which are stored: `ranker` itself, a cross-encoder, or
            another encoder.
        params: The recipe.
        seed: The seed of everything random.

    Raises:
        InputError: A range begins beyond the corpus, limits exclude all candidates, or a query has too few negatives
            and the recipe says `shortage: fail`.
    """
    _check_ranges(inputs, params)
    miner = _Miner(inputs, ranker, scorer, params, seed)
    taken = [NOTHING]
    rows = np.arange(len(inputs.queries)) if params.negatives else np.zeros(0, dtype=np.int64)
    with tqdm(total=len(rows), desc="mine", unit="query", leave=False, mininterval=1.0) as progress:
        for start in range(0, len(rows), size := _block_size(params, ranker.device.type)):
            block = rows[start : start + size]
            taken.append(miner.mine_block(block))
            progress.update(len(block))
    check_outcome(miner.outcome, params, len(rows))
    negatives = NegativeCandidates.join(taken)
    miner.outcome.negatives = negatives.take(np.lexsort((negatives.document, -negatives.score, negatives.query)))
    return _mined(inputs, miner.outcome, params.dataset), miner.outcome


class _Miner:
    """Mines one block of queries after another."""

    def __init__(
        self, inputs: MiningInputs, ranker: Encoder, scorer: Encoder | CrossEncoderScorer, params: Mine, seed: int
    ) -> None:
        self.inputs, self.params, self.seed = inputs, params, seed
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
            positives=positives,
            lowest_positive=np.minimum.reduceat(positives, _starts(inputs.positives)),
            random_pairs=np.zeros(0, np.float32) if is_given else self.score(*_random_pairs(inputs, seed)),
            recall=self.rankings.recall,
        )
        _check_floor(self.outcome, params)
        for model in {ranker, scorer}:
            if not isinstance(model, CrossEncoderScorer):
                self.outcome.truncated.update(model.truncated)

    def mine_block(self, rows: np.ndarray) -> NegativeCandidates:
        """Return the negatives of some queries."""
        ids, params = self.inputs.queries["query_id"], self.params
        rngs = {row: generator(self.seed, ids[row]) for row in rows.tolist()}
        taken = NOTHING
        if params.negatives_from in ("given", "scored") or (params.negatives_from == "mined" and params.keep_judged):
            queries, documents = flatten([self.inputs.judged[row] for row in rows])
            offer = Offer.judged(NegativeCandidates.of(rows[queries], documents))
            taken = self._take(offer, self._missing(taken), taken, rngs)
        if params.negatives_from == "mined":
            taken = self._take_ranges(rows, taken, rngs)
        short = rows[self._missing(taken)[rows] > 0]
        self.outcome.short += [str(ids[row]) for row in short]
        if params.shortage == "random":
            heads = np.zeros((len(short), 0), dtype=np.int64)
            taken = self._take_random(Offer.filler(), short, heads, self._missing(taken), taken, rngs)
        return taken

    def _take_ranges(self, rows: np.ndarray, taken: NegativeCandidates, rngs: Rngs) -> NegativeCandidates:
        """Add each range's share of the negatives still missing."""
        rankings = self.rankings.of(rows)
        counts = np.array([self.params.counts(missing) for missing in range(self.params.negatives + 1)])
        wanted = counts[self._missing(taken)]  # (queries, ranges)
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
        is_scored = offer.limits is not None or (params.sampling != "uniform" and not offer.is_drawn)
        rejected = outcome.rejected if offer.counts_rejected else Counter[str]()
        left = offer.candidates.take(wanted[offer.candidates.query] > 0)
        left = self.rules.reject(left, rejected, near=offer.rejects_near_duplicates)
        if offer.counts_candidates:
            outcome.num_candidates += len(left)
        if is_scored:
            left = replace(left, score=self.score(left.query, left.document))
        if offer.limits is not None:
            left = within_limits(left, outcome.lowest_positive, outcome.floor, offer.limits, outcome.outside)
        if not offer.is_drawn:
            left = replace(left, key=sampling_keys(left, params, rngs))
        new = take_first(left, self.rules.text_codes, wanted, taken)
        if not is_scored:
            new = replace(new, score=self.score(new.query, new.document))
        outcome.origins[offer.origin] += len(new)
        return NegativeCandidates.join([taken, new])

    def _missing(self, taken: NegativeCandidates) -> np.ndarray:
        """Return how many negatives each query still lacks, by row."""
        return self.params.negatives - np.bincount(taken.query, minlength=len(self.inputs.queries))


def _block_size(params: Mine, device: str) -> int:
    """Return how many queries are mined at once: a tile of the search, or fewer if rankings are deep."""
    tile, _ = TILES.get(device, TILES["cpu"])
    return max(1, min(tile, CANDIDATES_A_BLOCK // max(1, params.depth)))


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


def _starts(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.cumsum([0, *(len(array) for array in arrays)])[:-1]


def _check_ranges(inputs: MiningInputs, params: Mine) -> None:
    if params.negatives_from != "mined":
        return
    for first, stop, _ in params.parts:
        if first >= inputs.num_ranked:
            raise InputError(
                f"{params.dataset}: range: expected a first rank below the {inputs.num_ranked} documents of "
                f"{params.pool!r}, got {first}; lower it"
            )
        if stop is not None and stop > inputs.num_ranked:
            LOG.warning("range [%d, %d) is cut to the %d documents of the pool", first, stop, inputs.num_ranked)


def _check_floor(outcome: Outcome, params: Mine) -> None:
    needs_floor = params.negatives_from == "mined" and params.limits and params.limits.share_of_range is not None
    if needs_floor and not len(outcome.random_pairs):
        raise InputError(
            f"{params.dataset}: limits.share_of_range: expected random pairs of a query and another document, whose "
            "scores are the floor, got none; use another limit or a larger pool"
        )


def _mined(inputs: MiningInputs, outcome: Outcome, dataset: str) -> Mined:
    """Return positives and negatives together, with their texts."""
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
    used = np.unique(np.concatenate([negatives.document, *inputs.positives]))
    return Mined(examples, inputs.queries, inputs.documents.iloc[used].reset_index(drop=True))
