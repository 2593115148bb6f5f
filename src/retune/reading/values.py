"""Check and return the values of a row: texts, numbers, lists, objects."""

import math
from collections.abc import Sequence
from typing import Any

from retune.core.errors import InputError


def columns_in(row: dict[str, Any], names: Sequence[str], where: str) -> None:
    """Check that a row has the named columns.

    Raises:
        InputError: Columns are missing; the message names them and the columns found.
    """
    if missing := [name for name in names if name not in row]:
        found = ", ".join(map(shown, row))
        raise InputError(f"{where}: expected {', '.join(map(shown, missing))}, got the columns {found:.200}")


def as_id(value: Any) -> Any:
    """Return the decimal text of a whole number; other values, and truth values, are returned unchanged."""
    return str(value) if type(value) is int else value


def id_in(row: dict[str, Any], key: str, where: str) -> str:
    """Return a value that must be an id to look up: non-empty text, or a whole number as its decimal text."""
    value = as_id(row.get(key))
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: {key}: expected an id as text or a whole number, got {value!r:.80}")
    return value


def optional_text_in(row: dict[str, Any], key: str, where: str) -> str | None:
    """Return a value that must be a text or null; None if it is empty or missing."""
    value = none_if_empty(row.get(key))
    if value is not None and not isinstance(value, str):
        raise InputError(f"{where}: {key}: expected text or null, got {value!r:.80}")
    return value


def object_in(row: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    """Return a value that must be an object or null; an empty object if it is null or missing."""
    value = row.get(key)
    if value is not None and not isinstance(value, dict):
        raise InputError(f"{where}: {key}: expected an object or null, got {value!r:.80}")
    return value or {}


def none_if_empty(value: Any) -> Any:
    """Return the value, but None for ""; other values that are not texts, such as 0, fail in `check_record`."""
    return None if value == "" else value


def texts_in(value: Any, where: str) -> list[Any]:
    """Return a list unchanged, a text as a list of one, and null as an empty list."""
    if value is None:
        return []
    if isinstance(value, str | list):
        return value if isinstance(value, list) else [value]
    raise InputError(f"{where}: expected a text or a list of texts, got {value!r:.80}")


def number_in(value: Any, where: str) -> float:
    """Return a finite number, given as a number or, as in CSV, as text; true and false are not numbers."""
    is_number = isinstance(value, int | float | str) and not isinstance(value, bool)
    try:
        number = float(value) if is_number else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where}: expected a number, got {value!r:.80}")
    return number


def numbers_in(value: Any, where: str) -> list[float] | None:
    """Return a list of numbers, or None for null."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list of numbers, got {value!r:.80}")
    return [number_in(item, where) for item in value]


def shown(name: object) -> str:
    """Return a name or id from the data in a form that fits into a message: one line, at most 80 characters."""
    text = str(name)
    return f"{text:.80}" if text.isprintable() else f"{text!r:.80}"
