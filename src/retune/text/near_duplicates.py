"""Find near-duplicate texts by the Jaccard similarity of their shingles."""

from __future__ import annotations

import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasketch import MinHash, MinHashLSH

PERMUTATIONS = 128
FEW = 25  # comparing so few texts is faster than sketching them


def shingles(words: Sequence[str]) -> frozenset[int]:
    """Return hashes of the words and of the pairs of neighbouring words."""
    encoded = " ".join(words).encode().split(b" ") if words else []
    of_words = list(map(zlib.crc32, encoded))
    seconds = (b" " + second for second in encoded[1:])
    of_pairs = map(zlib.crc32, seconds, of_words)  # the CRC of "first second" continues that of "first"
    return frozenset(chain(of_words, of_pairs))


def jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    """Return the size of the intersection over the size of the union; 0 if both sets are empty."""
    shared = len(one & other)
    total = len(one) + len(other) - shared
    return shared / total if total else 0.0


class NearDuplicates:
    """Finds the indexed texts that are near-duplicates of a given text.

    Prefix filtering (Chaudhuri et al., ICDE 2006) and a size filter propose candidates. If there are many, for
    instance among texts made from one template, datasketch's MinHash LSH reduces them. The rest are compared exactly.
    """

    def __init__(self, texts: Sequence[frozenset[int]], threshold: float) -> None:
        """Index the shingles of the texts.

        Args:
            texts: The shingles of each text.
            threshold: The lowest Jaccard similarity of near-duplicates, in (0, 1].
        """
        self._texts, self._threshold = texts, threshold
        self._counts = Counter(shingle for text in texts for shingle in text)
        self._by_rare: dict[int, list[int]] = defaultdict(list)
        for number, text in enumerate(texts):
            for shingle in self._rare(text):
                self._by_rare[shingle].append(number)

    def find(self, text: frozenset[int]) -> Iterator[int]:
        """Yield the positions of the indexed texts that are near-duplicates of `text`, in ascending order."""
        sharing = set().union(*(self._by_rare.get(shingle, ()) for shingle in self._rare(text)))
        smallest, largest = self._threshold * len(text), len(text) / self._threshold  # of near-duplicates
        candidates = {number for number in sharing if smallest <= len(self._texts[number]) <= largest}
        if len(candidates) > FEW:
            candidates.intersection_update(self._lsh.query(_minhash(text)))
        for number in sorted(candidates):
            if jaccard(text, self._texts[number]) >= self._threshold:
                yield number

    @cached_property
    def _lsh(self) -> MinHashLSH:
        from datasketch import MinHashLSH

        # lower than the threshold: an extra candidate costs one comparison, a missing one is a missed near-duplicate
        threshold = max(0.1, min(self._threshold, 0.9) - 0.2)
        lsh = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
        for number, text in enumerate(self._texts):
            lsh.insert(number, _minhash(text))
        return lsh

    def _rare(self, text: frozenset[int]) -> list[int]:
        """Return the rarest shingles, enough that any two near-duplicates share at least one of them."""
        count = len(text) - math.ceil(self._threshold * len(text)) + 1
        return sorted(text, key=lambda shingle: (self._counts[shingle], shingle))[:count]


@cache
def _empty() -> MinHash:
    from datasketch import MinHash

    return MinHash(num_perm=PERMUTATIONS, hashfunc=int)


def _minhash(text: frozenset[int]) -> MinHash:
    sketch = _empty().copy()  # copied because generating the permutations takes longer than applying them
    if text:
        sketch.update_batch(sorted(text))
    return sketch
