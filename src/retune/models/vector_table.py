"""Model directories that hold vectors of known texts instead of weights: a teacher to learn from, and nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from retune.core.errors import InputError

VECTOR_TABLE = "vectors.parquet"  # the only data of such a directory
COLUMNS = ("role", "text", "vector")
ROLES = ("query", "document")
SHOWN = 60  # characters of a text in a message


class VectorTable(NamedTuple):
    """Vectors of texts by role.

    Attributes:
        folder: The model directory.
        rows: The row of each role and text in `vectors`.
        vectors: Unit vectors, (texts, dim) float32.
    """

    folder: Path
    rows: dict[tuple[str, str], int]
    vectors: np.ndarray

    def of(self, role: Literal["query", "document"], texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts, (texts, dim) float32.

        Raises:
            InputError: A text has no vector.
        """
        if missing := [text for text in texts if (role, text) not in self.rows]:
            raise InputError(
                f"{self.folder}: expected a vector for each of {len(texts)} {role} texts, got none for {len(missing)}, "
                f"first: {missing[0][:SHOWN]!r}; add them to the table"
            )
        found: np.ndarray = self.vectors[[self.rows[role, text] for text in texts]]
        return found


def is_vector_table(folder: Path) -> bool:
    """Return whether a model directory holds vectors of known texts instead of weights."""
    return (folder / VECTOR_TABLE).is_file()


def read_vector_table(folder: Path) -> VectorTable:
    """Read the vectors of a model directory that `fetch` wrote."""
    return parse_vector_table(pd.read_parquet(folder / VECTOR_TABLE), folder)


def parse_vector_table(table: pd.DataFrame, where: Path) -> VectorTable:
    """Check a table of `role`, `text` and `vector`, and return it with vectors of length 1.

    Raises:
        InputError: A column is missing, a role is unknown, a text is there twice, vectors differ in length, or one of
            them is zero or not finite.
    """
    if absent := [name for name in COLUMNS if name not in table]:
        raise InputError(f"{where}: expected the columns {', '.join(COLUMNS)}, got none named {', '.join(absent)}")
    if unknown := sorted({str(role) for role in table["role"]} - {*ROLES}):
        raise InputError(f"{where}: expected query or document as role, got {unknown[0]!r}")
    if other := [row for row, text in enumerate(table["text"]) if not isinstance(text, str)]:
        got = table["text"].iloc[other[0]]
        raise InputError(f"{where}: expected a text in every row, got {got!r} in row {other[0]}")
    keys = list(zip(table["role"].tolist(), table["text"].tolist(), strict=True))
    rows = {key: row for row, key in enumerate(keys)}
    if len(rows) < len(keys):
        role, text = next(key for row, key in enumerate(keys) if rows[key] != row)
        raise InputError(f"{where}: expected each text once for each role, got the {role} {text[:SHOWN]!r} twice")
    try:
        vectors = np.array(table["vector"].tolist(), dtype=np.float32)
    except (ValueError, TypeError):
        vectors = np.empty(0, dtype=np.float32)
    if vectors.ndim != 2 or not vectors.size:
        raise InputError(f"{where}: expected a list of equally many numbers as vector in every row, got something else")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    is_wrong = ~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0.0))
    if is_wrong.any():
        role, text = keys[int(is_wrong.argmax())]
        raise InputError(
            f"{where}: expected vectors that are finite and not zero, got another for the {role} {text[:SHOWN]!r} and "
            f"{int(is_wrong.sum()) - 1} more; compute them again"
        )
    return VectorTable(where, rows, vectors / lengths)
