"""In which language a text is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SAMPLE = 200  # texts by which the language is guessed


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


@cache
def _identifier() -> LanguageIdentifier:
    """Load the model once, because loading takes longer than all guesses."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
