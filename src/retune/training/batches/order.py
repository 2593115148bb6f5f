"""The order of an epoch: which pairs of a query and a positive make each batch, all from one source."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from retune.core.seeds import generator
from retune.params.finetune import Finetune


class BatchOrder:
    """Shuffles pairs into batches of one source each; the batches of all sources come in random order.

    A source of weight 0.5 contributes half of its pairs, drawn anew each epoch; one of weight 2 contributes each of its
    pairs twice.

    Attributes:
        pairs_of: The number of pairs from each source in an epoch, (sources,).
        batches_of: The number of batches from each source in an epoch, (sources,).
        num_batches: The number of batches in an epoch.
    """

    def __init__(self, sources: np.ndarray, weights: Sequence[float], params: Finetune, *, seed: int) -> None:
        """Count pairs and batches; nothing is shuffled yet.

        Args:
            sources: The number of each pair's source, (pairs,).
            weights: The weight of each source.
            params: Parameters of the tuned model, including the batch size.
            seed: The seed of all shuffles.
        """
        self._sources, self._size, self._seed = sources, params.batch_size, seed
        available = np.bincount(sources, minlength=len(weights))
        self.pairs_of = np.rint(available * np.asarray(weights)).astype(np.int64)
        self._passes = max(1, int(np.ceil(self.pairs_of / np.maximum(available, 1)).max()))
        spare = 0 if params.trainer.get("dataloader_drop_last") else params.batch_size - 1
        self.batches_of = (self.pairs_of + spare) // params.batch_size
        self.num_batches = int(self.batches_of.sum())

    def pairs(self, number: int) -> np.ndarray:
        """Return the pairs of a batch by its number, which counts from 0 over all epochs."""
        epoch, position = divmod(number, self.num_batches)
        return self._batches(epoch)[position]

    @lru_cache(maxsize=2)  # noqa: B019  the order is needed until training ends
    def _batches(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng([self._seed, epoch])
        order = np.concatenate([rng.permutation(len(self._sources)) for _ in range(self._passes)])
        size, batches = self._size, []
        for source, (num_pairs, num_batches) in enumerate(zip(self.pairs_of, self.batches_of, strict=True)):
            pairs = order[self._sources[order] == source][:num_pairs]
            batches.append(iter([pairs[number * size : (number + 1) * size] for number in range(num_batches)]))
        turns = np.repeat(np.arange(len(batches)), self.batches_of)
        turns = generator(self._seed, f"order of sources in epoch {epoch}").permutation(turns)
        return [next(batches[source]) for source in turns]
