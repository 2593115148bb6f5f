"""In which language a text is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SAMPLE = 200  # texts by which the language is guessed
IMPROBABLE = 0.003
"""Below this probability, which py3langid calibrates for the length, a text is in another language. Guesses for few
words are poor: of 199 English and Chinese queries for which another language was likelier, none was below 0.0038.
German and French sentences have less in English."""


def languages(texts: Sequence[str]) -> dict[str, float]:
    """Guess the languages of an even sample; return the shares of the three most common ISO 639-1 codes."""
    sample = texts[:: max(1, -(-len(texts) // SAMPLE))]
    if not sample:
        return {}
    counts = Counter(map(identify_language, sample))
    return {language: round(count / len(sample), 2) for language, count in counts.most_common(3)}


def main_language(texts: Sequence[str]) -> str:
    """Guess the language of most of the texts, of which there is at least one; return its ISO 639-1 code."""
    return next(iter(languages(texts)))


def identify_language(text: str) -> str:
    """Guess the language of a text; return its ISO 639-1 code."""
    return str(_identifier().classify(text)[0])


def could_be(text: str, language: str) -> bool:
    """Return whether a text may be in a language; few words often fit several."""
    return float(dict(_identifier(norm_probs=True).rank(text)).get(language, 0.0)) >= IMPROBABLE


@cache
def _identifier(*, norm_probs: bool = False) -> LanguageIdentifier:
    """Load the model once, because loading takes longer than all guesses."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=norm_probs)
