"""Document vectors as a Parquet file, which most databases load."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from retune.core.records import PARQUET
from retune.retrieval.cosines import pair_cosines
from retune.retrieval.exact import top_k
from retune.vectors.number_formats import int8_scales, signs, to_bits, to_int8

FILE = "vectors.parquet"
DOC_ID, VECTOR, INT8 = "doc_id", "vector", "int8"  # the last beside bits alone


def write(folder: Path, doc_ids: Sequence[str], vectors: np.ndarray, dtype: str) -> list[float] | None:
    """Write a row for each document: its id, and its vector as a list of fixed size.

    Args:
        folder: Where to write the file.
        doc_ids: The ids.
        vectors: (documents, dim) float32.
        dtype: The number format; bits get a second column with the vectors in int8, for rescoring.

    Returns:
        The scale of each dimension of the int8 values; None if there are none.
    """
    scales = int8_scales(vectors)
    columns = {DOC_ID: pa.array(doc_ids, pa.string())}
    if dtype == "binary":
        columns[VECTOR] = _lists(to_bits(vectors))
    if dtype in ("int8", "binary"):
        columns[VECTOR if dtype == "int8" else INT8] = _lists(to_int8(vectors, scales))
    else:
        columns[VECTOR] = _lists(vectors.astype(dtype))
    pq.write_table(pa.table(columns), folder / FILE, use_dictionary=False, **PARQUET)
    return [float(str(scale)) for scale in scales] if dtype in ("int8", "binary") else None


class ParquetStore:
    """Searches the vectors of a file that `write` wrote, exactly."""

    def __init__(self, folder: Path, dtype: str, dim: int, scales: Sequence[float] | None) -> None:
        """Read the file; arguments as given to `write` and returned by it."""
        table = pq.read_table(folder / FILE)
        vectors = _rows(table[VECTOR])
        self._dim, self._is_binary = dim, dtype == "binary"
        factors = np.array(scales, dtype=np.float32)
        self._documents = signs(vectors, dim) if self._is_binary else vectors.astype(np.float32)
        if dtype == "int8":
            self._documents *= factors
        if self._is_binary:
            self._rescoring = _rows(table[INT8]) * factors

    def top_k(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and positions of the closest documents as `exact.top_k` does."""
        asked = signs(to_bits(queries), self._dim) if self._is_binary else queries
        return top_k(asked, self._documents, k, device=torch.device("cpu"))

    def score(self, queries: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the inner products of queries with int8 vectors of documents, (queries, documents of each)."""
        rows = np.repeat(np.arange(len(queries)), positions.shape[1])
        return pair_cosines(queries, self._rescoring, rows, positions.ravel()).reshape(positions.shape)


def _lists(rows: np.ndarray) -> pa.Array:
    """Return an array of lists of fixed size from a matrix."""
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])


def _rows(column: pa.ChunkedArray) -> np.ndarray:
    """Return the matrix of such a column."""
    rows: np.ndarray = column.combine_chunks().flatten().to_numpy()
    return rows.reshape(len(column), -1)
