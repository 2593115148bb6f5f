"""Document vectors as an index of faiss, beside a Parquet file with the ids at its positions."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retune.core.errors import InputError
from retune.core.records import PARQUET
from retune.vectors.number_formats import to_bits

FILE, RESCORING, IDS = "vectors.faiss", "int8.faiss", "doc_ids.parquet"
INSTALL = ".venv/bin/python -m pip install --requirement requirements.txt"


def check_installed() -> None:
    """Check that faiss is installed.

    Raises:
        InputError: It is not.
    """
    if find_spec("faiss") is None:
        raise InputError(
            f"--format faiss: expected the package faiss-cpu, found none; run {INSTALL}, or choose --format parquet"
        )


def write(folder: Path, doc_ids: Sequence[str], vectors: np.ndarray, dtype: str) -> None:
    """Write an index that is searched exactly; bits get a second one in int8, for rescoring.

    Args:
        folder: Where to write the files.
        doc_ids: The ids.
        vectors: (documents, dim) float32.
        dtype: The number format.
    """
    import faiss

    dim = vectors.shape[1]
    if dtype == "binary":
        bits = to_bits(vectors)
        of_bits = faiss.IndexBinaryFlat(bits.shape[1] * 8)
        of_bits.add(bits)
        faiss.write_index_binary(of_bits, str(folder / FILE))
        _write_scalars(folder / RESCORING, vectors, "int8")
    elif dtype == "float32":
        index = faiss.IndexFlatIP(dim)
        index.add(vectors)
        faiss.write_index(index, str(folder / FILE))
    else:
        _write_scalars(folder / FILE, vectors, dtype)
    pq.write_table(pa.table({"doc_id": pa.array(doc_ids, pa.string())}), folder / IDS, **PARQUET)


def _write_scalars(path: Path, vectors: np.ndarray, dtype: str) -> None:
    """Write an index in float16, or in int8 between the least and the largest value of each dimension."""
    import faiss

    kind = {"float16": faiss.ScalarQuantizer.QT_fp16, "int8": faiss.ScalarQuantizer.QT_8bit}[dtype]
    index = faiss.IndexScalarQuantizer(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, str(path))


class FaissStore:
    """Searches the index that `write` wrote."""

    def __init__(self, folder: Path, dtype: str) -> None:
        """Read the index; arguments as given to `write`."""
        import faiss

        self._is_binary = dtype == "binary"
        read = faiss.read_index_binary if self._is_binary else faiss.read_index
        self._index: Any = read(str(folder / FILE))
        if self._is_binary:
            self._rescoring: Any = faiss.read_index(str(folder / RESCORING))

    def top_k(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and positions of the closest documents; those with equal scores in corpus order."""
        found, positions = self._index.search(
            to_bits(queries) if self._is_binary else queries, min(k, self._index.ntotal)
        )
        scores = -found.astype(np.float32) if self._is_binary else found  # of bits, faiss returns distances
        order = np.lexsort((positions, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(positions, order, axis=1)

    def score(self, queries: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the inner products of queries with int8 vectors of documents, (queries, documents of each)."""
        documents = self._rescoring.reconstruct_batch(positions.ravel()).reshape(*positions.shape, -1)
        scores: np.ndarray = np.einsum("qd,qnd->qn", queries, documents)
        return scores
