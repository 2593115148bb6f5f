"""Queries taken from a document's own text, offline: sentences, key phrases, headings and openings of sentences.

A sentence that becomes the query of the rest of its document is the inverse cloze task (Lee et al., arXiv:1906.00300).
The removal rate is the probability that a query's words are removed from its document. Queries whose words were removed
teach the model meaning; the others teach it to match words.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from retune.core.seeds import generator
from retune.core.words import count_words, first_words
from retune.params.synthesize import Extraction, Synthesize
from retune.synthesis.drafts import Draft, Drafts, Rejected
from retune.synthesis.keyphrases import Keyphrases

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n\s*\n")
CLAUSE_END = re.compile(r"[,;:()\[\]—–]|(?<=\s)-(?=\s)|[，；：（）、]")
MIN_LETTERS = 0.6  # share of letters in a sentence; with fewer, it is code, a table or a formula
PHRASES = 8  # key phrases of a document, from which a query draws
PHRASES_OF_QUERY = (2, 4)  # the fewest, and one more than the most
OPENING_WORDS = 8  # of a query of kind `title`


def draft(
    corpus: pd.DataFrame, params: Synthesize, *, kinds_of: Mapping[str, Mapping[str, float]], seed: int
) -> Drafts:
    """Draw the queries of some documents, each of a kind drawn by the document's shares.

    Documents keep their ids. Each has its own random generator, so that what is drawn for it does not depend on the
    other documents; only which key phrases it has does, and which of its sentences stand in others too. A document
    always keeps a sentence.

    Args:
        corpus: All documents.
        params: How queries are taken.
        kinds_of: By id of the documents to draw queries of, the share of each kind.
        seed: Draws.
    """
    assert params.extraction is not None
    sentences = Counter(sentence for text in corpus["text"] for sentence in {part for part, _, _ in _sentences(text)})
    shared = {sentence for sentence, count in sentences.items() if count > 1}
    chosen = corpus[corpus["doc_id"].isin(kinds_of)]
    has_phrases = any(kinds.get("keyphrases") for kinds in kinds_of.values())
    keyphrases = Keyphrases(chosen["text"] if has_phrases else [])
    queries: list[Draft] = []
    rejected: list[Rejected] = []
    for doc_id, title, text in zip(chosen["doc_id"], chosen["title"], chosen["text"], strict=True):
        rng = generator(seed, doc_id)
        document = _Document(doc_id, title, text, params.extraction, kinds_of[doc_id], keyphrases, shared, rng)
        queries += document.draw(params.queries_per_document)
        rejected += document.rejected
    return Drafts(queries, rejected, without_queries(corpus, queries))


def without_queries(corpus: pd.DataFrame, kept: Sequence[Draft]) -> pd.DataFrame:
    """Return the documents without the words of those queries that were removed from them."""
    removed: dict[str, list[Draft]] = {}
    for query in kept:
        if query.is_removed:
            removed.setdefault(query.doc_id, []).append(query)
    rows = []
    for doc_id, title, text in corpus[["doc_id", "title", "text"]].itertuples(index=False):
        queries = removed.get(doc_id, [])
        for query in queries:
            text = _without(text, query.text) if query.kind == "sentence" else text
        rows.append((doc_id, None if any(query.kind == "heading" for query in queries) else title, text))
    return pd.DataFrame(rows, columns=["doc_id", "title", "text"])


class _Taken(NamedTuple):
    """A text that becomes a query, and whether it was removed from its document."""

    text: str
    is_removed: bool = False


@dataclass
class _Document:
    """One document, which gives its queries and may lose their words; `shared` are sentences of other documents too."""

    doc_id: str
    title: str | None
    text: str
    params: Extraction
    kinds: Mapping[str, float]
    keyphrases: Keyphrases
    shared: Collection[str]
    rng: np.random.Generator
    rejected: list[Rejected] = field(default_factory=list)

    def draw(self, count: int) -> list[Draft]:
        """Return at most `count` queries; sources that have none left give way to the others."""
        parts = _sentences(self.text)
        sources = {
            "sentence": self._sentences_to_ask(parts),
            "title": self._openings(parts),
            "heading": self._headings(),
            "keyphrases": self._phrases(),
        }
        kinds = [kind for kind in self.kinds if self.kinds[kind] > 0]
        shares = np.array([self.kinds[kind] for kind in kinds])
        found: dict[str, Draft] = {}
        for _ in range(count):
            order = self.rng.choice(len(kinds), size=len(kinds), replace=False, p=shares / shares.sum())
            drawn = ((kinds[number], next(sources[kinds[number]], None)) for number in order)
            kind, taken = next(((kind, taken) for kind, taken in drawn if taken is not None), ("", None))
            if taken is None:
                break
            found.setdefault(taken.text, Draft(self.doc_id, kind, taken.text, is_removed=taken.is_removed))
        return list(found.values())

    def _sentences_to_ask(self, parts: list[tuple[str, int, int]]) -> Iterator[_Taken]:
        """Yield sentences in a random order, all but one of the document; some are removed from it."""
        sentences = list(dict.fromkeys(sentence for sentence, _, _ in parts))
        reasons = {sentence: self._rejection(sentence) for sentence in sentences}
        if len(sentences) < 2:
            reasons = dict.fromkeys(sentences, "only sentence of its document")
        self._reject("sentence", reasons)
        usable = [sentence for sentence in sentences if not reasons[sentence]]
        for number in self.rng.permutation(len(usable))[: len(sentences) - 1]:
            sentence = usable[number]
            if is_removed := self._is_removed():
                self.text = _without(self.text, sentence)
            yield _Taken(sentence, is_removed)

    def _openings(self, parts: list[tuple[str, int, int]]) -> Iterator[_Taken]:
        """Yield the first clauses of sentences, short as titles are; they stay in the document."""
        for number in self.rng.permutation(len(parts)):
            clause = CLAUSE_END.split(parts[number][0].rstrip(".!?。！？"))[0]
            opening = first_words(clause, OPENING_WORDS)
            if self._fits(opening) and _has_letters(opening):
                yield _Taken(opening)

    def _headings(self) -> Iterator[_Taken]:
        """Yield the title, and if it is a path of headings its last part; the title is removed at the removal rate."""
        title = " ".join((self.title or "").split())
        texts = dict.fromkeys([title.rpartition(" > ")[2], title.replace(" > ", " ")])
        for text in texts:
            if title and self._fits(text):
                if is_removed := self._is_removed():
                    self.title = None
                yield _Taken(text, is_removed)

    def _phrases(self) -> Iterator[_Taken]:
        """Yield draws of a few key phrases, in the order of the text."""
        phrases = self.keyphrases.find(self.text, PHRASES)
        while len(phrases) >= PHRASES_OF_QUERY[0]:
            count = min(len(phrases), int(self.rng.integers(*PHRASES_OF_QUERY)))
            chosen = sorted(self.rng.choice(len(phrases), size=count, replace=False))
            text = " ".join(phrases[number] for number in chosen)
            if not self._fits(text):
                return
            yield _Taken(text)

    def _is_removed(self) -> bool:
        return bool(self.rng.random() < self.params.removal_rate)

    def _rejection(self, sentence: str) -> str:
        """Return why a sentence cannot be a query, or an empty string if it can."""
        length = count_words(sentence)
        if length < self.params.min_words:
            return "sentence too short"
        if length > self.params.max_words:
            return "sentence too long"
        if sentence in self.shared:
            return "sentence of several documents"
        return "" if _has_letters(sentence) else "sentence is mostly not letters"

    def _reject(self, kind: str, reasons: dict[str, str]) -> None:
        if self.kinds.get(kind):
            self.rejected += [Rejected(self.doc_id, kind, text, reason) for text, reason in reasons.items() if reason]

    def _fits(self, text: str) -> bool:
        return count_words(text) >= min(self.params.min_words, 2) and count_words(text) <= self.params.max_words


def _without(text: str, sentence: str) -> str:
    """Return the text without all copies of a sentence; the rest stays as it is."""
    for part, start, end in reversed(_sentences(text)):
        if part == sentence:
            text = text[:start] + text[end:]
    return text.strip()


def _has_letters(text: str) -> bool:
    return sum(character.isalpha() for character in text) >= MIN_LETTERS * len(text)


def _sentences(text: str) -> list[tuple[str, int, int]]:
    """Return each sentence with single spaces, its start, and the start of the next one."""
    ends = [*(match.end() for match in SENTENCE_END.finditer(text)), len(text)]
    spans = zip([0, *ends], ends, strict=False)
    return [(" ".join(text[start:end].split()), start, end) for start, end in spans if text[start:end].strip()]
