"""Prompts for a language model: versioned files, one for each purpose and language."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from retune.core.errors import InputError

UNSEEN = "[\\s\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*"  # white space, and characters without width
NAMES = "|".join(UNSEEN.join(name) for name in ("document", "query"))
TAG = re.compile(f"[<\uff1c\ufe64\u2039\u3008](?={UNSEEN}[/\uff0f\u2215]?{UNSEEN}(?:{NAMES})\\b)", re.IGNORECASE)
PLACEHOLDER = re.compile(r"\{(\w+)\}")
OF_QUERIES: dict[str, set[str]] = {
    "system": set(),
    "user": {"examples", "document", "requests"},
    "examples": {"queries"},
    "answer": {"key"},
}
PARTS: dict[str, dict[str, set[str]]] = {
    "queries": OF_QUERIES,
    "test_queries": OF_QUERIES,
    "judge": {"system": set(), "user": {"query", "document"}},
}
"""Of each purpose: the texts of its file, and the placeholders of each."""


class Prompt:
    """The texts of a prompt file.

    Attributes:
        version: A hash of the file; a reply to another version is never used.
        kinds: What is asked for by kind of query; empty for other purposes.
    """

    def __init__(self, folder: Path, purpose: str, language: str, *, kinds: Sequence[str] = ()) -> None:
        """Read `<purpose>/<language>.yaml`.

        Args:
            folder: The folder of prompt files.
            purpose: What is asked, a key of `PARTS`.
            language: An ISO 639-1 code.
            kinds: The kinds of query that the file must describe.

        Raises:
            InputError: There is no such file, or its texts or placeholders are not those of the purpose.
        """
        path = folder / purpose / f"{language}.yaml"
        if not path.is_file():
            found = sorted(other.stem for other in path.parent.glob("*.yaml")) or ["none"]
            raise InputError(
                f"{path}: expected a prompt in the language of the corpus, found {', '.join(found)}; "
                f"translate one of them"
            )
        content = path.read_bytes()
        self.version = f"{purpose}/{path.name} {hashlib.sha256(content).hexdigest()[:16]}"
        self._texts = _read(path, content)
        _check(path, self._texts, PARTS[purpose], kinds)
        self.kinds: Mapping[str, str] = self._texts.get("kinds", {})

    def fill(self, part: str, **values: str) -> str:
        """Return a text with its placeholders replaced; braces inside the values stay as they are."""
        return PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), self._texts[part]).strip()


def without_tags(text: str) -> str:
    """Keep a text from closing the tags that a prompt puts around it, also with characters that look like theirs."""
    return TAG.sub("&lt;", text)


def _read(path: Path, content: bytes) -> dict[str, Any]:
    try:
        texts = YAML(typ="safe").load(content)
    except YAMLError as error:
        raise InputError(f"{path}: expected YAML, got: {' '.join(str(error).split())}; fix it") from None
    if not isinstance(texts, dict):
        raise InputError(f"{path}: expected a mapping of texts, got {type(texts).__name__}; compare the other prompts")
    return texts


def _check(path: Path, texts: Mapping[str, Any], parts: Mapping[str, set[str]], kinds: Sequence[str]) -> None:
    for part, placeholders in parts.items():
        if not isinstance(texts.get(part), str):
            raise InputError(f"{path}: {part}: expected a text, got {texts.get(part)!r}; compare the other prompts")
        found = set(PLACEHOLDER.findall(texts[part]))
        for name in sorted(found ^ placeholders):
            fault = "unknown placeholder" if name in found else "missing placeholder"
            raise InputError(f"{path}: {part}: {fault} {{{name}}}; expected {_names(placeholders)}")
    for kind in kinds:
        meanings = texts.get("kinds")
        if not isinstance(meanings, dict) or not isinstance(meanings.get(kind), str):
            raise InputError(f"{path}: kinds: expected a text for {kind}, found none; compare the other prompts")
        if placeholder := PLACEHOLDER.search(meanings[kind]):
            raise InputError(f"{path}: kinds: {kind}: unknown placeholder {placeholder[0]}; expected none")


def _names(placeholders: set[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(placeholders)) or "none"
