"""Mining: give every training query hard negatives, irrelevant documents that a model ranks high."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from retune.core.errors import InputError
from retune.core.records import Mined
from retune.encoding.encoder import Encoder
from retune.mining.candidates import NegativeCandidates
from retune.mining.inputs import MiningInputs, starts
from retune.mining.miner import Found, Miner
from retune.mining.offers import NOTHING
from retune.mining.outcome import Outcome, check_outcome
from retune.mining.relabel import Relabelling
from retune.params.mine import Mine
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.retrieval.exact import TILES

LOG = logging.getLogger(__name__)

Models = tuple[Encoder, Encoder | CrossEncoderScorer]  # a ranker and a scorer, which may be one model
CANDIDATES_A_BLOCK = 2**20  # bounds the memory for rankings and candidates


def mine(
    inputs: MiningInputs,
    ranker: Encoder,
    scorer: Encoder | CrossEncoderScorer,
    params: Mine,
    *,
    seed: int,
    prompts: Path | None = None,
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
        prompts: The folder of prompt files, for a recipe that relabels with a language model.

    Raises:
        InputError: A range begins beyond the corpus, limits exclude all candidates, a query has too few negatives
            and the recipe says `shortage: fail`, or nobody can be asked to relabel.
    """
    return complete(inputs, (ranker, scorer), params, None, seed=seed, prompts=prompts)


def complete(
    inputs: MiningInputs,
    models: Models,
    params: Mine,
    found: Sequence[Found] | None,
    *,
    seed: int,
    prompts: Path | None = None,
) -> tuple[Mined, Outcome]:
    """Do what `mine` does, with negatives that are there already.

    Args:
        inputs: As in `mine`, like the arguments that are not named here.
        models: The ranker and the scorer.
        params: The recipe.
        found: What `mine_some` found for the queries, in their order; None: they are mined here.
        seed: The seed of everything random.
        prompts: The folder of prompt files.
    """
    _check_ranges(inputs, params)
    ranker, scorer = models
    relabelling = Relabelling(inputs, scorer, params, prompts, seed) if params.relabel else None
    miner = Miner(inputs, ranker, scorer, params, seed)
    rows = np.arange(len(inputs.queries)) if params.negatives else np.zeros(0, dtype=np.int64)
    block_size = _block_size(params, ranker.device.type)
    negatives = _in_blocks(miner, rows, NOTHING, block_size) if found is None else miner.adopt(found)
    if relabelling:
        negatives = _relabel(miner, negatives, relabelling, block_size)
    for model in {ranker, scorer}:
        miner.outcome.truncated.update(model.truncated)
    check_outcome(miner.outcome, params, len(rows))
    miner.outcome.negatives = negatives.take(np.lexsort((negatives.document, -negatives.score, negatives.query)))
    return _mined(inputs, miner.outcome, params.dataset), miner.outcome


def mine_some(inputs: MiningInputs, models: Models, params: Mine, rows: slice, *, seed: int) -> Found:
    """Mine the negatives of some rows of the queries, for `complete`; other arguments and errors are as there."""
    _check_ranges(inputs, params)
    ranker, scorer = models
    miner = Miner(inputs, ranker, scorer, params, seed)
    before = Counter(scorer.truncated)
    chosen = np.arange(len(inputs.queries))[rows] if params.negatives else np.zeros(0, dtype=np.int64)
    negatives = _in_blocks(miner, chosen, NOTHING, _block_size(params, ranker.device.type))
    miner.outcome.truncated.update(Counter(scorer.truncated) - before)
    return miner.found(negatives)


def _in_blocks(miner: Miner, rows: np.ndarray, had: NegativeCandidates, size: int) -> NegativeCandidates:
    """Return the negatives that all queries had, completed for the queries in some rows."""
    taken = [had.take(~np.isin(had.query, rows))]
    with tqdm(total=len(rows), desc="mine", unit="query", leave=False, mininterval=1.0) as progress:
        for start in range(0, len(rows), size):
            block = rows[start : start + size]
            taken.append(miner.mine_block(block, had.take(np.isin(had.query, block))))
            progress.update(len(block))
    return NegativeCandidates.join(taken)


def _relabel(miner: Miner, negatives: NegativeCandidates, relabelling: Relabelling, size: int) -> NegativeCandidates:
    """Return the negatives without those that answer their query, and with others in their place."""
    found = miner.outcome.relabelled = relabelling.find_answers(negatives)
    if not len(found.answers):
        return negatives
    kept = miner.without(negatives, found.answers, relabelling.threshold)
    have_lost = miner.missing(kept) > miner.missing(negatives)
    negatives = _in_blocks(miner, np.flatnonzero(have_lost), kept, size)
    if found.are_positives:
        miner.outcome.add_positives(found.answers)
    return negatives


def _block_size(params: Mine, device: str) -> int:
    """Return how many queries are mined at once: a tile of the search, or fewer if rankings are deep."""
    tile, _ = TILES.get(device, TILES["cpu"])
    return max(1, min(tile, CANDIDATES_A_BLOCK // max(1, params.depth)))


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


def _mined(inputs: MiningInputs, outcome: Outcome, dataset: str) -> Mined:
    """Return positives and negatives together, with their texts."""
    ids = inputs.documents["doc_id"].to_numpy()
    negatives = outcome.negatives
    cuts = np.searchsorted(negatives.query, np.arange(1, len(inputs.queries)))
    examples = pd.DataFrame(
        {
            "query_id": inputs.queries["query_id"],
            "positive_ids": [ids[positions].tolist() for positions in outcome.relevant],
            "negative_ids": [part.tolist() for part in np.split(ids[negatives.document], cuts)],
            "positive_scores": [part.tolist() for part in np.split(outcome.positives, starts(outcome.relevant)[1:])],
            "negative_scores": [part.tolist() for part in np.split(negatives.score, cuts)],
            "source": dataset,
        }
    )
    used = np.unique(np.concatenate([negatives.document, *outcome.relevant]))
    return Mined(examples, inputs.queries, inputs.documents.iloc[used].reset_index(drop=True))
