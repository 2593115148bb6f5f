"""Documents that must never be a query's negative, because they answer it, or may."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np
import pandas as pd

from retune.candidates import Candidates
from retune.mining_inputs import Inputs, flatten
from retune.similarity import NearDuplicates, normal_form, shingles, words


class FalseNegatives:
    """Rejects candidates by rule.

    A document is rejected if it is a positive of the query (`positive`) or of another query with the same text
    (`positive_of_equal_query`), has the text of such a positive (`text_of_positive`) or of the query
    (`text_of_query`), has no text (`empty_text`), or nearly repeats such a positive (`near_duplicate`). Texts are
    the same if they are in `similarity.normal_form`.
    """

    def __init__(self, inputs: Inputs, near_duplicate: float | None) -> None:
        """Prepare the rules.

        Args:
            inputs: All queries, also those whose candidates come later.
            near_duplicate: Jaccard similarity in (0, 1] to a positive from which a document is rejected, or None.
        """
        num_documents = len(inputs.documents)
        normal = [normal_form(text) for text in [*inputs.document_texts, *inputs.query_texts]]
        codes = pd.factorize(np.array(normal, dtype=object))[0]
        self._width = len(normal)  # more than any position or text code
        self.text_codes = codes[:num_documents]  # equal where texts are, (documents,)
        self._query_codes = codes[num_documents:]
        self._is_empty = np.array([not text for text in normal[:num_documents]], dtype=bool)
        of_text: dict[int, set[int]] = defaultdict(set)
        for code, positives in zip(self._query_codes.tolist(), inputs.positives, strict=True):
            of_text[code].update(positives.tolist())
        of_equal = [np.array(sorted(of_text[code]), dtype=np.int64) for code in self._query_codes.tolist()]
        near = _near_documents(normal[:num_documents], sorted(set().union(*of_text.values())), near_duplicate)
        self._positive = self._keys(inputs.positives)
        self._positive_of_equal_query = self._keys(of_equal)
        self._text_of_positive = self._keys([self.text_codes[positives] for positives in of_equal])
        self._near = self._keys([_join(near[one] for one in positives.tolist()) for positives in of_equal])

    def reject(self, candidates: Candidates, rejected: Counter[str], *, near: bool) -> Candidates:
        """Return the candidates that no rule rejects.

        Args:
            candidates: Of any queries.
            rejected: Candidates by the first rule that rejects them, added to.
            near: Whether near-duplicates are rejected as well.
        """
        rules: dict[str, Callable[[Candidates], np.ndarray]] = {
            "positive": lambda of: self._is_in(self._positive, of.query, of.document),
            "positive_of_equal_query": lambda of: self._is_in(self._positive_of_equal_query, of.query, of.document),
            "text_of_positive": lambda of: self._is_in(self._text_of_positive, of.query, self.text_codes[of.document]),
            "text_of_query": lambda of: self._query_codes[of.query] == self.text_codes[of.document],
            "empty_text": lambda of: self._is_empty[of.document],
            "near_duplicate": lambda of: near & self._is_in(self._near, of.query, of.document),
        }
        for rule, applies in rules.items():
            is_rejected = applies(candidates)
            rejected[rule] += int(is_rejected.sum())
            candidates = candidates.take(~is_rejected)
        return candidates

    def _keys(self, numbers: Sequence[np.ndarray]) -> np.ndarray:
        """Return one number, sorted, for each pair of a query's row and one of its numbers."""
        rows, flat = flatten(numbers)
        return np.unique(rows * self._width + flat)

    def _is_in(self, keys: np.ndarray, rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Mark the pairs that `_keys` put among the keys."""
        wanted = rows * self._width + numbers
        places = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        return keys[places] == wanted if len(keys) else np.zeros(len(wanted), dtype=bool)


def _near_documents(normal: Sequence[str], positives: Sequence[int], threshold: float | None) -> dict[int, list[int]]:
    """Return, by position, the documents that nearly repeat each positive."""
    near: dict[int, list[int]] = defaultdict(list)
    if threshold is not None:
        index = NearDuplicates([shingles(words(normal[position])) for position in positives], threshold)
        for document, text in enumerate(normal):
            for number in index.find(shingles(words(text))):
                near[positives[number]].append(document)
    return near


def _join(lists: Iterable[list[int]]) -> np.ndarray:
    return np.array(list(chain.from_iterable(lists)), dtype=np.int64)
