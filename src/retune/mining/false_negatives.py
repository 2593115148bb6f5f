"""False negatives: documents that must never be a query's negative, because they answer it or may do so."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from retune.core.words import normal_form, words
from retune.mining.candidates import NegativeCandidates
from retune.mining.inputs import MiningInputs, flatten
from retune.text.near_duplicates import NearDuplicates, shingles


class FalseNegatives:
    """Rejects candidates that answer the query, or may do so.

    A document is rejected if it is a positive of the query (`positive`) or of another query with the same text
    (`positive_of_equal_query`), has the same text as one of these positives (`text_of_positive`) or as the query
    (`text_of_query`), has no text (`empty_text`), or is a near-duplicate of one of these positives
    (`near_duplicate`). Texts are the same if their `normal_form` is.
    """

    def __init__(self, inputs: MiningInputs, near_duplicate: float | None) -> None:
        """Prepare the rules.

        Args:
            inputs: All queries, including those whose candidates come later.
            near_duplicate: Documents with at least this Jaccard similarity to a positive, in (0, 1], are rejected;
                None: the rule is off.
        """
        num_documents = len(inputs.documents)
        normal = [normal_form(text) for text in [*inputs.document_texts, *inputs.query_texts]]
        codes = pd.factorize(np.array(normal, dtype=object))[0]
        self._width = len(normal)  # greater than any position or text code
        self.text_codes = codes[:num_documents]  # equal for equal texts, (documents,)
        self._query_codes = codes[num_documents:]
        self._is_empty = np.array([not text for text in normal[:num_documents]], dtype=bool)
        of_text: dict[int, set[int]] = defaultdict(set)
        for code, positives in zip(self._query_codes.tolist(), inputs.positives, strict=True):
            of_text[code].update(positives.tolist())
        near = _near_documents(normal[:num_documents], sorted(set().union(*of_text.values())), near_duplicate)
        self._positive = np.unique(self._keys(*flatten(inputs.positives)))
        self._of_text = self._keys_of(of_text)
        self._text_of_positive = self._keys_of(
            {code: self.text_codes[list(positives)].tolist() for code, positives in of_text.items()}
        )
        self._near = self._keys_of(
            {
                code: [document for positive in positives for document in near[positive]]
                for code, positives in of_text.items()
            }
        )

    def reject(self, candidates: NegativeCandidates, rejected: Counter[str], *, near: bool) -> NegativeCandidates:
        """Return the candidates that no rule rejects.

        Args:
            candidates: Candidates of any queries.
            rejected: Counts candidates by the first rule that rejects them; updated in place.
            near: Whether near-duplicates are rejected too.
        """
        rules: dict[str, Callable[[NegativeCandidates], np.ndarray]] = {
            "positive": lambda pairs: self._is_in(self._positive, pairs.query, pairs.document),
            "positive_of_equal_query": lambda pairs: self._is_of_text(self._of_text, pairs, pairs.document),
            "text_of_positive": lambda pairs: self._is_of_text(
                self._text_of_positive, pairs, self.text_codes[pairs.document]
            ),
            "text_of_query": lambda pairs: self._query_codes[pairs.query] == self.text_codes[pairs.document],
            "empty_text": lambda pairs: self._is_empty[pairs.document],
            "near_duplicate": lambda pairs: near & self._is_of_text(self._near, pairs, pairs.document),
        }
        for rule, applies in rules.items():
            is_rejected = applies(candidates)
            rejected[rule] += int(is_rejected.sum())
            candidates = candidates.take(~is_rejected)
        return candidates

    def _keys(self, rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return one number for each pair of a row (or text code) and a position (or text code)."""
        return np.asarray(rows * self._width + numbers, dtype=np.int64)

    def _keys_of(self, numbers: Mapping[int, Iterable[int]]) -> np.ndarray:
        """Return the sorted keys of all pairs of a query's text code and a number that belongs to it."""
        pairs = [code * self._width + number for code, members in numbers.items() for number in members]
        return np.unique(np.array(pairs, dtype=np.int64))

    def _is_in(self, keys: np.ndarray, rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Mark the pairs whose key is among the sorted keys."""
        wanted = self._keys(rows, numbers)
        if not len(keys):
            return np.zeros(len(wanted), dtype=bool)
        indices = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.asarray(keys[indices] == wanted)

    def _is_of_text(self, keys: np.ndarray, pairs: NegativeCandidates, numbers: np.ndarray) -> np.ndarray:
        """Mark the pairs whose number belongs to the text of their query."""
        return self._is_in(keys, self._query_codes[pairs.query], numbers)


def _near_documents(normal: Sequence[str], positives: Sequence[int], threshold: float | None) -> dict[int, list[int]]:
    """Return the near-duplicates of each positive, by position."""
    near: dict[int, list[int]] = defaultdict(list)
    if threshold is not None:
        of_positives = {position: shingles(words(normal[position])) for position in positives}
        index = NearDuplicates(list(of_positives.values()), threshold)
        for document, text in enumerate(normal):
            for number in index.find(of_positives.get(document) or shingles(words(text))):
                near[positives[number]].append(document)
    return near
