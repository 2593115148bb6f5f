"""Anchors: the base's vectors of texts that training should not move."""

from collections.abc import Iterable

import numpy as np

from retune.core.errors import InputError
from retune.encoding.encoder import Encoder
from retune.training.batches.examples import Examples
from retune.training.batches.plan import TrainingBatch


class Anchors:
    """The base's vectors of the queries and documents that come from one data set of a mixture."""

    def __init__(self, encoder: Encoder, examples: Examples, dataset: str) -> None:
        """Encode them.

        Args:
            encoder: The base.
            examples: The examples of a mixture.
            dataset: The name of the data set, with which the name of its source ends.

        Raises:
            InputError: None of the sources is of this data set, or all are.
        """
        names = examples.source_names
        self._sources = [number for number, name in enumerate(names) if name.rpartition("/")[2] == dataset]
        if not 0 < len(self._sources) < len(names):
            raise InputError(
                f"anchor.dataset: expected one of several data sets of a mixture, got {dataset!r} of "
                f"{', '.join(names)}; train on a mix of it and of what is to be learned"
            )
        self._queries = np.flatnonzero(np.isin(examples.sources, self._sources))
        self._documents = np.unique(np.concatenate([examples.source_documents[number] for number in self._sources]))
        texts, prompts = zip(*(examples.queries[row] for row in self._queries), strict=True)
        self._query_vectors = encoder.encode_queries(texts, prompts)
        self._document_vectors = encoder.encode_documents(_at(examples.documents, self._documents))

    def has(self, batch: TrainingBatch) -> bool:
        """Return whether the texts of a batch are anchored."""
        return batch.source in self._sources

    def of(self, batch: TrainingBatch) -> np.ndarray:
        """Return the unit vectors of a batch's queries, then of its documents, (texts, dim) float32."""
        queries = np.searchsorted(self._queries, batch.queries)
        documents = np.searchsorted(self._documents, batch.documents)
        return np.concatenate([self._query_vectors[queries], self._document_vectors[documents]])


def _at(texts: list[str], positions: Iterable[int]) -> list[str]:
    return [texts[position] for position in positions]
