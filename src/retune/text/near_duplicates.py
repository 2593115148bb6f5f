"""Near-duplicate texts: the Jaccard similarity of their shingles."""

import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain

from datasketch import MinHash, MinHashLSH

PERMUTATIONS = 128
EMPTY = MinHash(num_perm=PERMUTATIONS, hashfunc=int)
FEW = 25  # texts that are compared sooner than sketched


def shingles(words: Sequence[str]) -> frozenset[int]:
    """Return hashes of the words and of neighbouring ones."""
    encoded = " ".join(words).encode().split(b" ") if words else []
    of_words = list(map(zlib.crc32, encoded))
    of_pairs = map(zlib.crc32, (b" " + second for second in encoded[1:]), of_words)  # of "first second", taken up
    return frozenset(chain(of_words, of_pairs))


def jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    """Return the share of shingles in both among those in either; 0 of two empty sets."""
    shared = len(one & other)
    total = len(one) + len(other) - shared
    return shared / total if total else 0.0


class NearDuplicates:
    """Finds those of some texts that are near-duplicates of another.

    Prefix filtering (Chaudhuri et al., ICDE 2006) and sizes propose, MinHash and LSH of datasketch thin out where they
    propose many, as for texts of one template, and what is left is compared exactly.
    """

    def __init__(self, texts: Sequence[frozenset[int]], threshold: float) -> None:
        """Index the texts' shingles.

        Args:
            texts: Shingles of each.
            threshold: Jaccard similarity in (0, 1] from which a text is a near-duplicate.
        """
        self._texts, self._threshold = texts, threshold
        self._counts = Counter(shingle for text in texts for shingle in text)
        self._by_rare: dict[int, list[int]] = defaultdict(list)
        for number, text in enumerate(texts):
            for shingle in self._rare(text):
                self._by_rare[shingle].append(number)

    def find(self, text: frozenset[int]) -> Iterator[int]:
        """Yield the numbers of the indexed texts that are near-duplicates of one, in order."""
        sharing = set().union(*(self._by_rare.get(shingle, ()) for shingle in self._rare(text)))
        least, most = self._threshold * len(text), len(text) / self._threshold  # sizes that similar texts have
        candidates = {number for number in sharing if least <= len(self._texts[number]) <= most}
        if len(candidates) > FEW:
            candidates.intersection_update(self._lsh.query(_minhash(text)))
        for number in sorted(candidates):
            if jaccard(text, self._texts[number]) >= self._threshold:
                yield number

    @cached_property
    def _lsh(self) -> MinHashLSH:
        # lower than asked for: a candidate too many costs a comparison, one too few is a near-duplicate missed
        threshold = max(0.1, min(self._threshold, 0.9) - 0.2)
        lsh = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
        for number, text in enumerate(self._texts):
            lsh.insert(number, _minhash(text))
        return lsh

    def _rare(self, text: frozenset[int]) -> list[int]:
        """Return the rarest shingles, so many that two texts as similar as asked for share one of them."""
        count = len(text) - math.ceil(self._threshold * len(text)) + 1
        return sorted(text, key=lambda shingle: (self._counts[shingle], shingle))[:count]


def _minhash(text: frozenset[int]) -> MinHash:
    sketch = EMPTY.copy()  # making permutations takes longer than using them
    if text:
        sketch.update_batch(sorted(text))
    return sketch
