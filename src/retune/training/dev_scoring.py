"""Dev scores: rank the dev split with a model in training, as `eval` would do."""

import functools
import logging
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from sentence_transformers import SentenceTransformer

from retune.core.errors import InputError
from retune.core.records import Mined, Split, document_texts, read_corpus, read_mined, read_split
from retune.core.seeds import generator
from retune.encoding.encoder import Encoder
from retune.encoding.hardware import release_memory
from retune.evaluation.metrics import mean_scores, parse_metric, score_ranking
from retune.models.encoding_settings import Encoding
from retune.retrieval.exact import top_k
from retune.training.keeping.keeper import Keeper
from retune.training.spec import Task

LOG = logging.getLogger(__name__)


class DevEvaluator:
    """Scores a model in training on the dev split, and has the keeper save it if it is to be kept."""

    def __init__(self, score: Callable[[SentenceTransformer], float], keeper: Keeper) -> None:
        """Take a function that scores a model, such as that of `dev_scorer`, and the keeper."""
        self._score, self._keeper = score, keeper

    def __call__(self, model: SentenceTransformer, *, epoch: float, step: int, earlier: Sequence[float]) -> float:
        """Return the dev score of a model after a step; `earlier` are all dev scores before it."""
        candidate = self._keeper.candidate(model, epoch, step)
        score = self._score(candidate)
        if self._keeper.is_kept(score, epoch, earlier):
            self._keeper.save(model, candidate)
        device = candidate.device
        del candidate
        release_memory(device)
        return score


def dev_scorer(task: Task, encoding: Encoding, mined: Mined) -> Callable[[SentenceTransformer], float]:
    """Return a function that scores a model on the dev split."""
    corpus, dev = read_dev(task, mined)
    metric, k = task.params.dev_metric, _cutoff(task)

    @functools.cache  # encodes where scores are needed: in the main process
    def documents() -> np.ndarray | None:
        return _encode(Encoder.load(task.base, task.compute, devices=()), corpus) if task.params.tower else None

    def score(model: SentenceTransformer) -> float:
        encoder = Encoder.snapshot(model, encoding, task.compute)
        return mean_scores(evaluate(encoder, corpus, dev, [k], documents=documents()))[metric]

    return score


def base_dev_score(task: Task) -> float:
    """Score the base on the dev split; vectors that mining cached are read from the cache."""
    corpus, dev = read_dev(task, read_mined(task.mined))
    encoder = Encoder.load(task.base, task.compute, devices=())
    score = mean_scores(evaluate(encoder, corpus, dev, [_cutoff(task)]))[task.params.dev_metric]
    LOG.info("dev %s of the base: %s", task.params.dev_metric, score)
    return score


def _cutoff(task: Task) -> int:
    _, k = parse_metric(task.params.dev_metric)
    return k


def read_dev(task: Task, mined: Mined) -> tuple[pd.DataFrame, Split]:
    """Return the documents to rank, and the dev split.

    Raises:
        InputError: There are no dev queries.
    """
    corpus, dev = read_corpus(task.dev), read_split(task.dev, "dev")
    if dev.queries.empty:
        raise InputError(
            f"{task.dev}: expected dev queries, got an empty dev split; set convert.<name>.dev to make one"
        )
    if task.params.dev_documents is not None:
        judged = corpus["doc_id"].isin(dev.qrels["doc_id"])
        texts = pd.Series(document_texts(corpus), index=corpus.index)  # compared by text: ids may belong to other data
        is_needed = judged | texts.isin(document_texts(mined.documents))
        corpus = sample_dev_corpus(corpus, is_needed.to_numpy(), task.params.dev_documents, seed=task.seed)
    return corpus, dev


def sample_dev_corpus(corpus: pd.DataFrame, is_needed: np.ndarray, count: int, *, seed: int) -> pd.DataFrame:
    """Return the documents that are needed and `count` others drawn at random, in the order of the corpus."""
    is_taken = is_needed.copy()
    is_taken[generator(seed, "dev documents").permutation(np.flatnonzero(~is_needed))[:count]] = True
    return corpus[is_taken].reset_index(drop=True)


def evaluate(
    encoder: Encoder, corpus: pd.DataFrame, split: Split, ks: list[int], *, documents: np.ndarray | None = None
) -> pd.DataFrame:
    """Rank the whole corpus for every query of a split, and return the scores of `score_ranking`.

    Args:
        encoder: The encoder.
        corpus: The documents.
        split: The queries and their judgments.
        ks: The cut-offs.
        documents: The vectors of the documents, (documents, dim) float32; None: the encoder's.

    Raises:
        InputError: The split has no queries.
    """
    if split.queries.empty:
        raise InputError("expected queries to evaluate on, got an empty split; set convert.<name> to make one")
    if documents is None:
        documents = _encode(encoder, corpus)
    texts, prompts, ids = (split.queries[column].tolist() for column in ("text", "prompt", "query_id"))
    queries = encoder.encode_queries(texts, prompts, ids=ids)
    _, ranking = top_k(queries, documents, max(ks), device=encoder.device)
    return score_ranking(ranking, corpus["doc_id"], split, ks)


def _encode(encoder: Encoder, corpus: pd.DataFrame) -> np.ndarray:
    return encoder.encode_documents(document_texts(corpus), ids=corpus["doc_id"].tolist())
