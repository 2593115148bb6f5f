"""Parse JSON; errors name file and line."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retune.core.errors import InputError

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:)?|[{}\[\]]')
"""A string, a key with its colon, or a bracket."""


class _RepeatedKeyError(Exception):
    """A key occurs twice in an object, so that one of its values would be lost."""


def parse_json(text: str, path: Path, line: int = 1) -> Any:
    """Parse JSON that begins at the given line of a file.

    Raises:
        InputError: The JSON is malformed or nested too deeply, repeats a key, or has a number with too many digits.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{line + error.lineno - 1}: expected JSON, got {error.msg}") from None
    except _RepeatedKeyError as error:
        place = f"{path}:{line + _line_of_repeated_key(text)}"
        raise InputError(f"{place}: expected each key once in an object, got {error.args[0]!r:.80} twice") from None
    except RecursionError:
        raise InputError(f"{path}:{line + _line_of_depth(text)}: expected JSON, got too deep a nesting") from None
    except ValueError:  # Python's limit of digits
        digits = re.search(rf"\d{{{sys.get_int_max_str_digits() + 1}}}", text)
        before = text.count("\n", 0, digits.start()) if digits else 0
        raise InputError(f"{path}:{line + before}: expected JSON, got a number of too many digits") from None


def parse_object(text: str, path: Path, line: int = 1) -> dict[str, Any]:
    """Parse JSON that must be an object."""
    content = parse_json(text, path, line)
    if not isinstance(content, dict):
        raise InputError(f"{path}:{line}: expected a JSON object, got {type(content).__name__}")
    return content


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for key in keys if keys.count(key) > 1))
    return content


def _line_of_repeated_key(text: str) -> int:
    """Return the number of lines before the first repeated key."""
    objects: list[set[str]] = []
    for token, is_key, before in _tokens(text):
        if token == "{":
            objects.append(set())
        elif token == "}":
            objects.pop()
        elif is_key:
            key = json.loads(token)
            if key in objects[-1]:
                return before
            objects[-1].add(key)
    return 0


def _line_of_depth(text: str) -> int:
    """Return the number of lines before the most deeply nested bracket."""
    depth = deepest = lines = 0
    for token, _, before in _tokens(text):
        depth += (token in "{[") - (token in "}]")
        if depth > deepest:
            deepest, lines = depth, before
    return lines


def _tokens(text: str) -> Iterator[tuple[str, bool, int]]:
    """Yield each string or bracket, whether it is a key, and the number of lines before it."""
    position = lines = 0
    for match in TOKEN.finditer(text):
        lines += text.count("\n", position, match.start())
        position = match.start()
        yield match[0].removesuffix(match[1] or ""), bool(match[1]), lines
