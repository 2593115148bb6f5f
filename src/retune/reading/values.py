"""What the cells of a row hold: texts, numbers, lists; anything else is refused."""

import math
from collections.abc import Sequence
from typing import Any

from retune.core.errors import InputError


def columns_in(row: dict[str, Any], names: Sequence[str], where: str) -> None:
    """Check that a row has the columns named.

    Raises:
        InputError: Names what is missing and what there is.
    """
    if missing := [name for name in names if name not in row]:
        found = ", ".join(map(shown, row))
        raise InputError(f"{where}: expected {', '.join(map(shown, missing))}, got the columns {found:.200}")


def text_in(row: dict[str, Any], key: str, where: str) -> str:
    """Return a row's non-empty text, such as an id to look up."""
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: {key}: expected non-empty text, got {value!r:.80}")
    return value


def optional_text_in(row: dict[str, Any], key: str, where: str) -> str | None:
    """Return a row's text, or None where there is none or an empty one."""
    value = none_if_empty(row.get(key))
    if value is not None and not isinstance(value, str):
        raise InputError(f"{where}: {key}: expected text or null, got {value!r:.80}")
    return value


def object_in(row: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    """Return a row's object, an empty one where there is none."""
    value = row.get(key)
    if value is not None and not isinstance(value, dict):
        raise InputError(f"{where}: {key}: expected an object or null, got {value!r:.80}")
    return value or {}


def none_if_empty(value: Any) -> Any:
    """Return a value, None instead of "" alone: 0 or [] where a text belongs is for the centre to refuse."""
    return None if value == "" else value


def texts_in(value: Any, where: str) -> list[Any]:
    """Return a list as it is, a text as a list of one, null as none."""
    if value is None:
        return []
    if isinstance(value, str | list):
        return value if isinstance(value, list) else [value]
    raise InputError(f"{where}: expected a text or a list of texts, got {value!r:.80}")


def number_in(value: Any, where: str) -> float:
    """Return a cell's number, which CSV has as text; a truth value is none."""
    is_number = isinstance(value, int | float | str) and not isinstance(value, bool)
    try:
        number = float(value) if is_number else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where}: expected a number, got {value!r:.80}")
    return number


def numbers_in(value: Any, where: str) -> list[float] | None:
    """Return a cell's list of numbers, or None if it has none."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list of numbers, got {value!r:.80}")
    return [number_in(item, where) for item in value]


def shown(name: object) -> str:
    """Return a name or id from the data as a message can show it: on one line, and not endless."""
    text = str(name)
    return f"{text:.80}" if text.isprintable() else f"{text!r:.80}"
