"""A second model tells which documents of a batch may answer a query that they did not come with."""

from collections.abc import Sequence

import numpy as np

from retune.encoding.encoder import Encoder


class Guide:
    """Leaves out documents that look more like an answer than the positive does (Solatorio, arXiv:2402.16829).

    A query's own positive and mined negatives always stay: the latter kept to the limits of their recipe.
    """

    def __init__(
        self, encoder: Encoder, queries: Sequence[tuple[str, str | None]], documents: Sequence[str], margin: float
    ) -> None:
        """Encode all queries (text and prompt) and documents once.

        Args:
            encoder: The second model.
            queries: Text, and prompt or None.
            documents: Texts.
            margin: What the positive's score is lowered by; a document above that is left out.
        """
        texts, prompts = zip(*queries, strict=True)
        self._queries = encoder.encode_queries(texts, prompts)
        self._documents = encoder.encode_documents(documents)
        self._margin = margin

    def allows(self, queries: np.ndarray, documents: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Return which documents of a batch a query may be compared with, (queries, documents) bool.

        Args:
            queries: Positions, (queries,).
            documents: Positions, (documents,).
            groups: Columns of a query's positive and its own negatives, (queries, 1 + hard_negatives).
        """
        scores = self._queries[queries] @ self._documents[documents].T
        ceiling = np.take_along_axis(scores, groups[:, :1], axis=1) - self._margin
        is_allowed: np.ndarray = scores <= ceiling
        np.put_along_axis(is_allowed, groups, True, axis=1)
        return is_allowed
