"""Write the vectors of a data set's documents for a search engine, and measure what their number format costs."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from retune.core.errors import InputError
from retune.core.files import atomic_directory, write_json
from retune.core.markdown import table
from retune.core.records import read_corpus, read_split
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.encoding.fingerprint import ModelFiles
from retune.layouts.export import check_new, errors_of_writing
from retune.models.directory import check_kind, read_encoding
from retune.models.scope import check_unscoped, corpus_hash
from retune.params.eval import Measuring
from retune.retrieval.retriever import VectorRetriever
from retune.vectors import faiss_store, parquet_store
from retune.vectors.faiss_store import FaissStore
from retune.vectors.measuring import CANDIDATES, Judged, Quality, Store, qualities
from retune.vectors.number_formats import BITS, num_bytes
from retune.vectors.parquet_store import ParquetStore

LOG = logging.getLogger(__name__)
FORMATS = ("parquet", "faiss")
MB = 1_000_000
RESCORED = f"binary, {CANDIDATES} nearest rescored with int8"
HEADINGS = ("vectors", "MB", "nDCG@10", "Recall@10", "of float32's top 10")


@dataclass(frozen=True)
class Order:
    """What to write, and how.

    Attributes:
        model: The directory of the model.
        dataset: The folder of the data set.
        dtype: The number format of the vectors.
        format: `parquet` or `faiss`.
        excluded: The folder of a user's tables of excluded documents.
    """

    model: Path
    dataset: Path
    dtype: str
    format: str
    excluded: Path

    def check(self) -> None:
        """Check all that can be checked before a text is encoded.

        Raises:
            InputError: A choice, the model or the data set is unknown, the model has no vectors of its own for this
                data set, or faiss is missing.
        """
        _check_choice("dtype", self.dtype, BITS)
        _check_choice("format", self.format, FORMATS)
        _check_name("model", self.model)
        _check_name("dataset", self.dataset)
        read_encoding(self.model)
        check_kind(self.model, is_pair_scorer=False)
        check_unscoped(self.model)
        if self.format == "faiss":
            faiss_store.check_installed()


def ship(order: Order, out: Path, params: Measuring, compute: Compute) -> str:
    """Write the vectors to the new folder `out`; return a table of their size and of what they find.

    The vectors are those that the stage `eval` measures.

    Args:
        order: What to write.
        out: The folder; it gets the vectors and vectors.json, which describes them.
        params: `eval.dtype`, `eval.dims` and `eval.exclude_same_id` are used.
        compute: For encoding.

    Raises:
        InputError: As `Order.check`, or `out` is not empty or cannot be written.
    """
    order.check()
    with errors_of_writing(out):
        check_new(out)
    corpus, test = read_corpus(order.dataset), read_split(order.dataset, "test")
    encoder = Encoder.load(order.model, compute, dtype=params.dtype)
    retriever = VectorRetriever(encoder, corpus, test.queries, dims=params.dims)
    judged = Judged.read(order.dataset.name, corpus["doc_id"], test, params, order.excluded)
    with errors_of_writing(out), atomic_directory(out) as partial:
        store, written = _write(order, partial, corpus, retriever)
        rows = _rows(order, retriever, _measured(order, judged, retriever, store))
        write_json(
            partial / "vectors.json", _description(order, partial, corpus, retriever) | written | {"search": rows}
        )
    LOG.info("%s: %s vectors of %d dimensions", out, f"{len(corpus):,}", retriever.documents.shape[1])
    return "\n".join(table(HEADINGS, map(_cells, rows), num_texts=1))


def _write(
    order: Order, folder: Path, corpus: pd.DataFrame, retriever: VectorRetriever
) -> tuple[Store, dict[str, Any]]:
    """Write the vectors; return what reads them again, and what a reader must know besides."""
    doc_ids, vectors = corpus["doc_id"].tolist(), retriever.documents
    if order.format == "faiss":
        faiss_store.write(folder, doc_ids, vectors, order.dtype)
        return FaissStore(folder, order.dtype), {}
    scales = parquet_store.write(folder, doc_ids, vectors, order.dtype)
    return ParquetStore(folder, order.dtype, vectors.shape[1], scales), {"scales": scales} if scales else {}


def _measured(order: Order, judged: Judged, retriever: VectorRetriever, store: Store) -> list[Quality]:
    if judged.test.queries.empty:
        LOG.info("%s has no test queries, so nothing is searched", order.dataset.name)
        return []
    return list(qualities(judged, retriever, store, is_binary=order.dtype == "binary"))


def _rows(order: Order, retriever: VectorRetriever, measured: list[Quality]) -> list[dict[str, Any]]:
    """Return a row for float32, one for the vectors written, and one for rescored bits."""
    count, dim = retriever.documents.shape
    sizes = {name: count * num_bytes(name, dim) for name in BITS}
    kinds = [("float32, as evaluated", sizes["float32"]), (f"{order.dtype}, {order.format}", sizes[order.dtype])]
    if order.dtype == "binary":
        kinds.append((RESCORED, sizes["binary"] + sizes["int8"]))
    found = [quality._asdict() for quality in measured] or [{}] * len(kinds)
    return [{"vectors": name, "bytes": size} | values for (name, size), values in zip(kinds, found, strict=True)]


def _cells(row: dict[str, Any]) -> list[str]:
    """Return a row of the table; cells are empty if nothing was searched."""
    return [
        row["vectors"],
        f"{row['bytes'] / MB:.2f}",
        *(f"{row[key]:.4f}" if key in row else "" for key in Quality._fields),
    ]


def _description(order: Order, folder: Path, corpus: pd.DataFrame, retriever: VectorRetriever) -> dict[str, Any]:
    """Return what was written: by which model, and of which documents."""
    count, dim = retriever.documents.shape
    return {
        "model": order.model.name,
        "model_sha256": ModelFiles.of(order.model).sha256,
        "dataset": order.dataset.name,
        "corpus_sha256": corpus_hash(corpus),
        "format": order.format,
        "dtype": order.dtype,
        "dim": dim,
        "count": count,
        "bytes": count * num_bytes(order.dtype, dim),
        "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
    }


def _check_choice(option: str, value: str, known: Any) -> None:
    if value not in known:
        raise InputError(f"--{option}: expected one of {', '.join(known)}, got {value!r}")


def _check_name(kind: str, path: Path) -> None:
    """Check that a folder of this name exists."""
    if not path.is_dir():
        names = sorted(other.name for other in path.parent.glob("[!.]*") if other.is_dir())
        known = f"one of {', '.join(names)}" if names else "a folder; run dvc repro"
        raise InputError(f"{kind}: expected {known} (in {path.parent}), got {path.name!r}")
