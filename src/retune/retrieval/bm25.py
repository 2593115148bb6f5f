"""Lexical ranking by BM25, using bm25s."""

from collections.abc import Sequence

import numpy as np

from retune.core.words import normal_form, words
from retune.models.directory import K1, B


class Bm25:
    """Ranks documents by the words that they share with a query, by Lucene's BM25 with k1 1.5 and b 0.75.

    The words are those of `retune.core.words` that begin with a letter or digit; in scripts without spaces, each
    character is a word. There is no stemming, and there are no stop words.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Index the documents."""
        import bm25s

        self._num_documents = len(texts)
        self._index = bm25s.BM25(k1=K1, b=B, method="lucene")
        self._has_words = False
        of_texts = [_words(text) for text in texts]
        if any(of_texts):
            self._index.index(of_texts, show_progress=False)
            self._has_words = True

    def top_k(self, queries: Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best documents of each query, best first; documents with equal scores keep corpus order.

        Args:
            queries: The texts of the queries.
            k: The maximum number of documents per query.

        Returns:
            Scores, float32, and positions, int64, both (queries, min(k, documents)). If fewer documents share a word
            with a query, its row is filled up with minus infinity and -1.
        """
        k = min(k, self._num_documents)
        ranking = np.full((len(queries), k), -1, dtype=np.int64)
        ranked_scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        for row, query in enumerate(queries):
            scores = self.scores(query)
            found = np.flatnonzero(scores > 0)
            if len(found) > k:
                lowest = np.partition(scores[found], len(found) - k)[len(found) - k]
                found = found[scores[found] >= lowest]
            best = found[np.argsort(-scores[found], kind="stable")][:k]
            ranking[row, : len(best)], ranked_scores[row, : len(best)] = best, scores[best]
        return ranked_scores, ranking

    def scores(self, query: str) -> np.ndarray:
        """Return the score of every document, (documents,) float32; 0 if it shares no word with the query."""
        known = self._index.vocab_dict if self._has_words else {}
        ids = [known[word] for word in _words(query) if word in known]
        if not ids:
            return np.zeros(self._num_documents, dtype=np.float32)
        return np.asarray(self._index.get_scores_from_ids(ids))


def _words(text: str) -> list[str]:
    return [word for word in words(normal_form(text)) if word[0].isalnum()]
