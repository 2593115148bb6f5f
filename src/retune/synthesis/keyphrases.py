"""The phrases that tell a document from the others of its corpus."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from retune.core.words import WORD, normal_form, words

STOP_SHARE = 0.2  # a word of more documents than this share connects phrases and is no part of one
FEW_DOCUMENTS = 20  # in a corpus this small, how many documents have a word says nothing
MAX_WORDS = 4  # of a phrase


class Keyphrases:
    """Finds phrases of rare words: runs of words between punctuation and frequent words (RAKE; Rose et al., 2010).

    Which words are frequent is counted in the corpus, so that no language needs a list of stop words.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        """Count in how many of the texts each word occurs."""
        self._counts: Counter[str] = Counter()
        self._num_texts = 0
        for text in texts:
            self._counts.update(set(words(normal_form(text))))
            self._num_texts += 1

    def find(self, text: str, most: int) -> list[str]:
        """Return at most `most` different phrases of the text, those of the rarest words, in the order of the text.

        A phrase weighs what its words' inverse document frequencies add up to, times how often it occurs.
        """
        found: dict[str, list[str]] = {}
        for phrase in self._phrases(text):
            found.setdefault(phrase.casefold(), []).append(phrase)
        weights = {key: self._weight(key) * len(phrases) for key, phrases in found.items()}
        best = set(sorted(found, key=lambda key: (-weights[key], key))[:most])
        return [phrases[0] for key, phrases in found.items() if key in best]

    def _phrases(self, text: str) -> Iterable[str]:
        for line in re.split(r"[\r\n]+", text):
            matches = list(WORD.finditer(line))
            for is_part, group in groupby(matches, key=lambda match: self._is_part(match[0])):
                run = list(group)
                for first in range(0, len(run) if is_part else 0, MAX_WORDS):
                    part = run[first : first + MAX_WORDS]
                    yield " ".join(line[part[0].start() : part[-1].end()].split())

    def _is_part(self, word: str) -> bool:
        limit = STOP_SHARE * self._num_texts if self._num_texts > FEW_DOCUMENTS else self._num_texts
        return word[0].isalpha() and self._counts[normal_form(word)] <= limit

    def _weight(self, phrase: str) -> float:
        return sum(math.log((self._num_texts + 1) / (self._counts[word] + 1)) for word in words(normal_form(phrase)))
