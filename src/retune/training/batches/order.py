"""Which pairs make each batch of an epoch: pairs of one source, each as often as its source weighs."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from retune.core.seeds import generator
from retune.params.finetune import Finetune


class BatchOrder:
    """The pairs of every batch, shuffled; batches of all sources come in random order.

    A source of weight 0.5 gives half of its pairs, drawn anew each epoch; one of weight 2 gives each of them twice.

    Attributes:
        pairs_of: Pairs that each source gives in an epoch, (sources,).
        batches_of: Batches that these make, (sources,).
        num_batches: Of an epoch.
    """

    def __init__(self, sources: np.ndarray, weights: Sequence[float], params: Finetune, *, seed: int) -> None:
        """Take the pairs; `params` size the batches.

        Args:
            sources: Number of each pair's source, (pairs,).
            weights: Of each source.
            params: The run.
            seed: Of all shuffles.
        """
        self._sources, self._size, self._seed = sources, params.batch_size, seed
        held = np.bincount(sources, minlength=len(weights))
        self.pairs_of = np.rint(held * np.asarray(weights)).astype(np.int64)
        self._passes = max(1, int(np.ceil(self.pairs_of / np.maximum(held, 1)).max()))
        spare = 0 if params.trainer.get("dataloader_drop_last") else params.batch_size - 1
        self.batches_of = (self.pairs_of + spare) // params.batch_size
        self.num_batches = int(self.batches_of.sum())

    def pairs(self, number: int) -> np.ndarray:
        """Return the pairs of a batch, by its number, counted from 0 over all epochs."""
        epoch, place = divmod(number, self.num_batches)
        return self._batches(epoch)[place]

    @lru_cache(maxsize=2)  # noqa: B019  an order lives as long as its run
    def _batches(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng([self._seed, epoch])
        order = np.concatenate([rng.permutation(len(self._sources)) for _ in range(self._passes)])
        size, batches = self._size, []
        for source, (num_pairs, num_batches) in enumerate(zip(self.pairs_of, self.batches_of, strict=True)):
            own = order[self._sources[order] == source][:num_pairs]
            batches.append(iter([own[place * size : (place + 1) * size] for place in range(num_batches)]))
        turns = np.repeat(np.arange(len(batches)), self.batches_of)
        turns = generator(self._seed, f"order of sources in epoch {epoch}").permutation(turns)
        return [next(batches[source]) for source in turns]
