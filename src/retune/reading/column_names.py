"""What the names of columns say: which column is the query, which lists ids, and whether a line is a header."""

import re
from collections.abc import Sequence
from typing import Literal

from retune.core.errors import InputError
from retune.reading.values import shown

Role = Literal["query", "positive", "negative", "label"]

QUERY = re.compile(r"anchor|(query|question)(_text)?|q|premise|(sentence|text|question|query)_?[1a]")
POSITIVE = re.compile(
    r"(pos(itive)?s?_?)?(doc(ument)?|passage|answer)s?(_text)?|pos(itive)?s?(_(text|\d+))?|response|chosen|target|"
    r"hypothesis|(sentence|text|question|query|document|passage|answer|positive)_?[2b]"
)
NEGATIVE = re.compile(r"(hard_?)?neg(ative)?s?(_?(doc(ument)?|passage|answer|text)s?)?_?\d*|rejected|n_?\d+")
LABEL = re.compile(r"labels?|scores?")
NO_TEXT = re.compile(
    r"|unnamed:_\d+|index|_*index_level_\d+_*|level_\d+|idx|row(_?(id|number))?|_*id|.*_ids?|[qdp]id|docid|queryid|"
    r"split|source|lang(uage)?|type|category|metadata|url"
)
"""Names of an index, of ids or of other columns that are no texts to train on."""


def plain(name: object) -> str:
    """Return a column's name in lower case with `_` for spaces, hyphens and dots."""
    return re.sub(r"[\s.-]+", "_", str(name).strip().strip("\"'").removeprefix("#").strip().lower())


def is_index(name: object) -> bool:
    """Return whether a column has no name, or a name that pandas gives to an index."""
    return re.fullmatch(r"|unnamed:_\d+|index|_*index_level_\d+_*", plain(name)) is not None


def role_of(name: object) -> Role | None:
    """Return what the name of a column says about its texts; None if it says nothing."""
    text = plain(name)
    roles: list[tuple[Role, re.Pattern[str]]] = [
        ("query", QUERY), ("positive", POSITIVE), ("negative", NEGATIVE), ("label", LABEL)
    ]  # fmt: skip
    return next((role for role, names in roles if names.fullmatch(text)), None)


def check_texts_by_position(names: Sequence[object], where: str) -> None:
    """Check that no column is an index or ids, and that names do not contradict the order query, positive, negatives.

    Args:
        names: The columns in their order, without labels.
        where: File and line, for messages.

    Raises:
        InputError: A name contradicts its position. A name that says nothing is as good as its position, unless the
            column would be a negative beside columns whose names do say what they are.
    """
    found = ", ".join(shown(name) or "''" for name in names)
    for name in names:
        if NO_TEXT.fullmatch(plain(name)):
            what = f"column {shown(name)}" if str(name).strip() else "a column without a name"
            raise InputError(
                f"{where}: expected columns of texts, got {what} in {found:.200}; remove it "
                "(pandas: to_csv(…, index=False))"
            )
    roles = [role_of(name) for name in names]
    for position, (name, role) in enumerate(zip(names, roles, strict=True)):
        expected: Role = "query" if position == 0 else "positive" if position == 1 else "negative"
        if role not in (expected, None) or (role is None and position > 1 and any(roles)):
            hint = "reorder or rename the columns" if role else "call it negative, or remove it"
            raise InputError(
                f"{where}: expected the columns in the order query, positive, negatives, got {shown(name)!r} "
                f"as the {expected} in {found:.200}; {hint}"
            )
