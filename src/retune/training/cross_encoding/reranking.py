"""Dev scores of a cross-encoder: the best documents of a first stage, in its order."""

import logging
from functools import cached_property

import numpy as np
import pandas as pd
from sentence_transformers import CrossEncoder

from retune.core.records import Mined, document_texts
from retune.encoding.encoder import Encoder
from retune.evaluation.metrics import mean_scores, score_ranking
from retune.models.encoding_settings import Encoding
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.training.dev_scoring import cutoff, encode, rank, read_dev
from retune.training.spec import Task

LOG = logging.getLogger(__name__)


class Reranking:
    """Reorders the best documents of the guide, which is the first stage, for each dev query."""

    def __init__(self, task: Task, encoding: Encoding, mined: Mined) -> None:
        """Read the dev split, and the settings of the guide; documents are ranked with the first score.

        Args:
            task: The training.
            encoding: The encoding settings of the cross-encoder.
            mined: The training examples, whose documents are ranked too if `dev_documents` leaves out some.

        Raises:
            InputError: There are no dev queries, or the guide is no embedding model.
        """
        assert task.params.cross_encoder is not None
        self._task, self._encoding, self._k = task, encoding, task.params.cross_encoder.k
        self._corpus, self._dev = read_dev(task, mined)
        self._first_stage = Encoder.load(task.guide, task.compute, devices=())

    @cached_property
    def _ranking(self) -> np.ndarray:
        """The positions of each query's best documents in the order of the first stage, (queries, documents)."""
        documents = encode(self._first_stage, self._corpus)
        return rank(self._first_stage, documents, self._dev, max(self._k, cutoff(self._task)))

    def score(self, model: CrossEncoder) -> float:
        """Return the dev score of a model in training."""
        return self._mean(self.score_queries(CrossEncoderScorer.snapshot(model, self._encoding, self._task.compute)))

    def score_queries(self, scorer: CrossEncoderScorer | None) -> pd.DataFrame:
        """Return the scores of `score_ranking` for each dev query; documents after the best `k` keep their places.

        Args:
            scorer: The cross-encoder; None: the order of the first stage.
        """
        if scorer is None:
            return self._score(self._ranking)
        best, rest = np.split(self._ranking, [self._k], axis=1)
        texts = document_texts(self._corpus)
        queries = np.repeat(self._dev.queries["text"].to_numpy(), best.shape[1])
        scores = scorer.score(queries.tolist(), [texts[position] for position in best.ravel().tolist()])
        order = np.argsort(-scores.reshape(best.shape), axis=1, kind="stable")  # ties keep the first stage's order
        return self._score(np.concatenate([np.take_along_axis(best, order, axis=1), rest], axis=1))

    def first_stage_score(self) -> float:
        """Return the dev score of the first stage alone."""
        score = self._mean(self.score_queries(None))
        LOG.info("dev %s of the first stage: %s", self._task.params.dev_metric, score)
        return score

    def _score(self, ranking: np.ndarray) -> pd.DataFrame:
        return score_ranking(ranking, self._corpus["doc_id"], self._dev, [cutoff(self._task)])

    def _mean(self, scores: pd.DataFrame) -> float:
        return mean_scores(scores)[self._task.params.dev_metric]
