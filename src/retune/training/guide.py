"""A guide model, which masks likely false negatives in a batch."""

from collections.abc import Sequence

import numpy as np

from retune.encoding.encoder import Encoder


class Guide:
    """Masks documents whose score exceeds that of the query's positive minus a margin (Solatorio, arXiv:2402.16829).

    The positive and the mined negatives of the query are never masked: mining has applied limits to them already.
    """

    def __init__(
        self, encoder: Encoder, queries: Sequence[tuple[str, str | None]], documents: Sequence[str], margin: float
    ) -> None:
        """Encode all queries (text and prompt) and documents once.

        Args:
            encoder: The guide model.
            queries: For each query, its text, and its prompt or None.
            documents: The texts of the documents.
            margin: Documents that score above the positive's score minus this are masked.
        """
        texts, prompts = zip(*queries, strict=True)
        self._queries = encoder.encode_queries(texts, prompts)
        self._documents = encoder.encode_documents(documents)
        self._margin = margin

    def allows(self, queries: np.ndarray, documents: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Return which documents of a batch are not masked for a query, (queries, documents) bool.

        Args:
            queries: Positions of the queries, (queries,).
            documents: Positions of the documents, (documents,).
            groups: Columns of a query's positive and hard negatives, (queries, 1 + hard_negatives).
        """
        scores = self._queries[queries] @ self._documents[documents].T
        ceiling = np.take_along_axis(scores, groups[:, :1], axis=1) - self._margin
        is_allowed: np.ndarray = scores <= ceiling
        np.put_along_axis(is_allowed, groups, True, axis=1)
        return is_allowed
