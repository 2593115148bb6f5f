"""Normalise texts of any language and split them into words."""

import re
import unicodedata
from itertools import islice

SCRIPTS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1780-\u17ff"  # Khmer
    "\u3040-\u30ff\u3400-\u9fff\U00020000-\U000323af"  # Japanese, Chinese; Korean has spaces
)
"""Scripts without spaces between words: each character counts as a word."""

MARKS = "".join(char for char in map(chr, range(0x300, 0x11000)) if unicodedata.category(char) in ("Mn", "Mc"))
"""Combining marks, which belong to the letter before them, such as the vowel signs of Indic scripts."""

WORD = re.compile(rf"[{SCRIPTS}]|[^\W_{SCRIPTS}](?:[^\W_{SCRIPTS}]|[{MARKS}])*|[^\w\s]|_")


def normal_form(text: str) -> str:
    """Normalise compatible characters, case and white space, and remove invisible characters."""
    normal = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    if not normal.isascii():
        normal = "".join(char for char in normal if unicodedata.category(char) != "Cf")
    return normal


def words(normal: str) -> tuple[str, ...]:
    """Return the words and symbols of a text in normal form; in scripts without spaces, each character is a word."""
    return tuple(WORD.findall(normal))


UNIT = re.compile(rf"[{SCRIPTS}]|[^\s{SCRIPTS}]+")


def count_words(text: str) -> int:
    """Return the number of words, split at white space; in scripts without spaces, each character is a word."""
    return sum(1 for _ in UNIT.finditer(text))


def first_words(text: str, count: int) -> str:
    """Return the text up to the end of its word number `count`, as `count_words` counts, without white space around."""
    ends = [match.end() for match in islice(UNIT.finditer(text), count)]
    return text[: ends[-1]].strip() if ends else ""
