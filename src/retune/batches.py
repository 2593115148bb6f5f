"""Batches in which no document counts as a negative of a query it answers."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from torch.utils.data import BatchSampler, SequentialSampler

LOG = logging.getLogger(__name__)


class DistinctBatchSampler(BatchSampler):
    """Puts every row into one batch per epoch, apart from rows that would be false negatives of each other.

    Two rows are kept apart if a document of one answers the query of the other. Rows are shuffled every epoch and
    go to the first batch that has room; with no room left, to the smallest batch they fit, which then exceeds
    the batch size. A row that fits nowhere joins the smallest batch, and is counted.
    """

    def __init__(
        self, rows: Sequence[Mapping[str, str]], positives: Mapping[str, set[str]], batch_size: int, seed: int
    ) -> None:
        """Take the training rows and how to batch them.

        Args:
            rows: Columns `anchor`, `positive`, `negative_1`, ..., texts.
            positives: Every positive's text, by anchor.
            batch_size: Rows a batch.
            seed: Of the shuffles.
        """
        super().__init__(SequentialSampler(range(len(rows))), batch_size, drop_last=False)
        self.documents = [{text for column, text in row.items() if column != "anchor"} for row in rows]
        self.answers = [positives[row["anchor"]] for row in rows]
        most = max(Counter(row[column] for row in rows).most_common(1)[0][1] for column in ("anchor", "positive"))
        self.num_batches = max(-(-len(rows) // batch_size), most)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle; the trainer calls it at the start of every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the batches of an epoch, the same in each."""
        return self.num_batches

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the row numbers of each batch."""
        batches: list[list[int]] = [[] for _ in range(self.num_batches)]
        documents: list[set[str]] = [set() for _ in batches]
        answers: list[set[str]] = [set() for _ in batches]
        crowded = 0
        for row in np.random.default_rng([self.seed, self.epoch]).permutation(len(self.answers)).tolist():
            fits = (
                number
                for number in range(self.num_batches)
                if not (self.documents[row] & answers[number] or self.answers[row] & documents[number])
            )
            place = self._place(batches, fits)
            if place is None:
                crowded += 1
                place = min(range(self.num_batches), key=lambda number: len(batches[number]))
            batches[place].append(row)
            documents[place] |= self.documents[row]
            answers[place] |= self.answers[row]
        if crowded:
            LOG.warning(
                "%d of %d rows share a batch with a false negative; lower batch_size", crowded, len(self.answers)
            )
        yield from (batch for batch in batches if batch)

    def _place(self, batches: list[list[int]], fits: Iterator[int]) -> int | None:
        """Return the first fitting batch with room, else the smallest that fits, else None."""
        full = []
        for number in fits:
            if len(batches[number]) < self.batch_size:
                return number
            full.append(number)
        return min(full, key=lambda number: len(batches[number])) if full else None
