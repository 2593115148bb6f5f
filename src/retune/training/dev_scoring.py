"""Dev scores: rank the dev split with a model in training, as `eval` would do."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Generic

import numpy as np
import pandas as pd
from sentence_transformers import SentenceTransformer

from retune.core.errors import InputError
from retune.core.records import Mined, Split, document_texts, read_corpus, read_mined, read_split
from retune.core.seeds import generator
from retune.encoding.encoder import Encoder
from retune.encoding.hardware import release_memory
from retune.encoding.loading import Model
from retune.evaluation.metrics import mean_scores, parse_metric, score_ranking
from retune.models.encoding_settings import Encoding
from retune.retrieval.exact import top_k
from retune.training.keeping.keeper import Keeper
from retune.training.spec import Task

LOG = logging.getLogger(__name__)


class DevEvaluator(Generic[Model]):
    """Scores a model in training on the dev split, and has the keeper save it if it is to be kept."""

    def __init__(self, score: Callable[[Model], float], keeper: Keeper[Model]) -> None:
        """Take a function that scores a model, such as that of `dev_scorer`, and the keeper."""
        self._score: Callable[[Model], float] = score
        self._keeper: Keeper[Model] = keeper

    def __call__(self, model: Model, *, epoch: float, step: int, earlier: Sequence[float]) -> float:
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
    metric, k = task.params.dev_metric, cutoff(task)

    @functools.cache  # encodes where scores are needed: in the main process
    def documents() -> np.ndarray | None:
        fixed = task.guide if task.params.teacher_documents else task.base if task.params.tower else None
        return encode(Encoder.load(fixed, task.compute, devices=()), corpus) if fixed else None

    def score(model: SentenceTransformer) -> float:
        encoder = Encoder.snapshot(model, encoding, task.compute)
        return mean_scores(evaluate(encoder, corpus, dev, [k], documents=documents()))[metric]

    return score


def base_dev_score(task: Task) -> float:
    """Score the base on the dev split; vectors that mining cached are read from the cache."""
    corpus, dev = read_dev(task, read_mined(task.mined))
    encoder = Encoder.load(task.base, task.compute, devices=())
    score = mean_scores(evaluate(encoder, corpus, dev, [cutoff(task)]))[task.params.dev_metric]
    LOG.info("dev %s of the base: %s", task.params.dev_metric, score)
    return score


def cutoff(task: Task) -> int:
    """Return the cut-off of the dev metric."""
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
        documents = encode(encoder, corpus)
    return score_ranking(rank(encoder, documents, split, max(ks)), corpus["doc_id"], split, ks)


def rank(encoder: Encoder, documents: np.ndarray, split: Split, k: int) -> np.ndarray:
    """Return the positions of the `k` closest documents of each query, closest first, (queries, min(k, documents)).

    Args:
        encoder: Encodes the queries.
        documents: The vectors of the documents, (documents, dim) float32.
        split: The queries.
        k: The number of documents per query.
    """
    texts, prompts, ids = (split.queries[column].tolist() for column in ("text", "prompt", "query_id"))
    queries = encoder.encode_queries(texts, prompts, ids=ids)
    return top_k(queries, documents, k, device=encoder.device)[1]


def encode(encoder: Encoder, corpus: pd.DataFrame) -> np.ndarray:
    """Return the vectors of the documents, (documents, dim) float32."""
    return encoder.encode_documents(document_texts(corpus), ids=corpus["doc_id"].tolist())
