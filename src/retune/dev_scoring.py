"""Scores of a model in training on the dev split, ranked as `eval` would rank it."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sentence_transformers import SentenceTransformer

from retune.encoding import Encoder
from retune.errors import InputError
from retune.evaluation import evaluate
from retune.metrics import mean_scores, parse_metric
from retune.params.fetch import Encoding
from retune.records import Mined, document_texts, read_corpus, read_split
from retune.seeds import generator
from retune.task import Task


def dev_scorer(task: Task, encoding: Encoding, mined: Mined) -> Callable[[SentenceTransformer], float]:
    """Return what ranks the dev split with a model as `eval` would."""
    corpus, dev = read_corpus(task.dev), read_split(task.dev, "dev")
    if dev.queries.empty:
        raise InputError("expected dev queries, got an empty dev split; give the data set one (convert.<name>.dev)")
    if task.params.dev_documents is not None:
        judged = corpus["doc_id"].isin(dev.qrels["doc_id"])
        texts = pd.Series(document_texts(corpus), index=corpus.index)  # ids of another data set may be the same
        is_named = judged | texts.isin(document_texts(mined.documents))
        corpus = sample_dev_corpus(corpus, is_named.to_numpy(), task.params.dev_documents, seed=task.seed)
    metric = task.params.dev_metric
    _, k = parse_metric(metric)

    def score(model: SentenceTransformer) -> float:
        encoder = Encoder.snapshot(model, encoding, task.compute)
        return mean_scores(evaluate(encoder, corpus, dev, [k]))[metric]

    return score


def sample_dev_corpus(corpus: pd.DataFrame, is_named: np.ndarray, count: int, *, seed: int) -> pd.DataFrame:
    """Return the documents named and `count` others drawn at random, in the order of the corpus."""
    is_taken = is_named.copy()
    is_taken[generator(seed, "dev documents").permutation(np.flatnonzero(~is_named))[:count]] = True
    return corpus[is_taken].reset_index(drop=True)
