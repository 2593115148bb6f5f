"""When two texts count as the same, or nearly: normal form, words, and the Jaccard similarity of their shingles."""

import math
import re
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain

from datasketch import MinHash, MinHashLSH

SCRIPTS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1780-\u17ff"  # Khmer
    "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U000323af"  # Japanese, Chinese, Korean
)
"""Scripts that put no spaces between words: each sign counts as a word."""

MARKS = "".join(sign for sign in map(chr, range(0x300, 0x11000)) if unicodedata.category(sign) in ("Mn", "Mc"))
"""Signs that belong to the letter before them, such as the vowels of Indic scripts."""

WORD = re.compile(rf"[{SCRIPTS}]|[^\W_{SCRIPTS}](?:[^\W_{SCRIPTS}]|[{MARKS}])*|[^\w\s]|_")
PERMUTATIONS = 128
EMPTY = MinHash(num_perm=PERMUTATIONS, hashfunc=int)
FEW = 25  # texts that are compared sooner than sketched


def normal_form(text: str) -> str:
    """Make compatible forms, case and white space equal, and leave out invisible signs."""
    normal = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    if not normal.isascii():
        normal = "".join(sign for sign in normal if unicodedata.category(sign) != "Cf")
    return normal


def words(normal: str) -> tuple[str, ...]:
    """Return words and signs of a text in normal form; each sign of a script without spaces is a word."""
    return tuple(WORD.findall(normal))


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
