"""The scores that a data set itself gives pairs of a query and a document."""

import numpy as np

from retune.core.errors import InputError
from retune.mining.inputs import Inputs, flatten


class GivenScores:
    """Looks up the score of any judged pair: a person's, or a teacher's."""

    def __init__(self, inputs: Inputs, dataset: str) -> None:
        """Take a data set's scores.

        Raises:
            InputError: A judged pair has no score.
        """
        self._query_ids = inputs.queries["query_id"].to_numpy()
        self._doc_ids = inputs.documents["doc_id"].to_numpy()
        self._scores: dict[tuple[str, str], float] = {}
        if inputs.scores is not None:
            columns = (inputs.scores[name].tolist() for name in ("query_id", "doc_id", "score"))
            self._scores = {(query_id, doc_id): score for query_id, doc_id, score in zip(*columns, strict=True)}
        pairs = [pair for judged in (inputs.positives, inputs.judged) for pair in self._pairs(*flatten(judged))]
        if absent := [pair for pair in pairs if pair not in self._scores]:
            raise InputError(
                f"{dataset}: source scored: expected a score for each of {len(pairs)} judged documents, "
                f"{len(absent)} have none, first: {absent[0][1]!r} of query {absent[0][0]!r}; "
                "mend the raw data, or take source: given, where a model scores"
            )

    def __call__(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return float32 scores of judged pairs, (pairs,), as `PairScores` does."""
        return np.array([self._scores[pair] for pair in self._pairs(rows, positions)], dtype=np.float32)

    def _pairs(self, rows: np.ndarray, positions: np.ndarray) -> list[tuple[str, str]]:
        return list(zip(self._query_ids[rows].tolist(), self._doc_ids[positions].tolist(), strict=True))
