"""Normal form and words of a text, for every language."""

import re
import unicodedata

SCRIPTS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1780-\u17ff"  # Khmer
    "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U000323af"  # Japanese, Chinese, Korean
)
"""Scripts that put no spaces between words: each sign counts as a word."""

MARKS = "".join(sign for sign in map(chr, range(0x300, 0x11000)) if unicodedata.category(sign) in ("Mn", "Mc"))
"""Signs that belong to the letter before them, such as the vowels of Indic scripts."""

WORD = re.compile(rf"[{SCRIPTS}]|[^\W_{SCRIPTS}](?:[^\W_{SCRIPTS}]|[{MARKS}])*|[^\w\s]|_")


def normal_form(text: str) -> str:
    """Make compatible forms, case and white space equal, and leave out invisible signs."""
    normal = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    if not normal.isascii():
        normal = "".join(sign for sign in normal if unicodedata.category(sign) != "Cf")
    return normal


def words(normal: str) -> tuple[str, ...]:
    """Return words and signs of a text in normal form; each sign of a script without spaces is a word."""
    return tuple(WORD.findall(normal))
