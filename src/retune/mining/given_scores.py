"""The scores of pairs of a query and a document that come with the data set."""

import numpy as np

from retune.core.errors import InputError
from retune.mining.inputs import MiningInputs, flatten


class GivenScores:
    """Looks up the score that a person or a teacher model gave a judged pair."""

    def __init__(self, inputs: MiningInputs, dataset: str) -> None:
        """Take the scores of a data set.

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
                f"{dataset}: negatives_from scored: expected a score for each of {len(pairs)} judged documents, got "
                f"{len(absent)} without one, first: {absent[0][1]!r} of query {absent[0][0]!r}; "
                "fix the raw data, or set negatives_from: given, where a model scores them"
            )

    def __call__(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return float32 scores of judged pairs, (pairs,); the arguments are as in `PairScores`."""
        return np.array([self._scores[pair] for pair in self._pairs(rows, positions)], dtype=np.float32)

    def _pairs(self, rows: np.ndarray, positions: np.ndarray) -> list[tuple[str, str]]:
        return list(zip(self._query_ids[rows].tolist(), self._doc_ids[positions].tolist(), strict=True))
