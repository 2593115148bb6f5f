"""What a model adds to its base for one data set: moved document vectors, or a model for its queries.

The directory of such a model is that of its base, so documents, and the texts of other data sets, get the vectors that
the base gives them. Beside it, `scope/` holds what is added.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import ValidationError

from retune.core.errors import InputError
from retune.core.files import write_json
from retune.core.records import document_texts
from retune.core.section import Section

SCOPE = "scope"  # in the model directory
SETTINGS = "scope.json"
VECTORS = "document_vectors.npy"
QUERY_MODEL = "query_model"  # a model directory of its own


class Scope(Section):
    """The data set that a model is made for, and hashes of what it was made from."""

    dataset: str
    everywhere: bool  # whether the query model encodes the queries of other data sets too
    corpus: str  # `corpus_hash` of the data set
    base: str  # hash of the base's files, which are those of the model directory


class Addition(NamedTuple):
    """What a model adds for a data set.

    Attributes:
        vectors: The vectors of its documents, in the order of the corpus, (documents, dim) float32; None: the base's.
        query_model: The directory of the model for its queries; None: the base.
    """

    vectors: np.ndarray | None = None
    query_model: Path | None = None


def read_scope(folder: Path) -> Scope | None:
    """Return the scope of a model; None if it treats all data sets alike."""
    path = folder / SCOPE / SETTINGS
    if not path.is_file():
        return None
    try:
        return Scope.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected settings, got: {reason}; run the stage that writes it again") from None


def check_unscoped(folder: Path) -> None:
    """Check that a model treats all data sets alike.

    Raises:
        InputError: It adds something for one data set.
    """
    if scope := read_scope(folder):
        raise InputError(
            f"{folder}: expected a model that treats all data sets alike, got one that is made for {scope.dataset!r}; "
            "name its base, or another model"
        )


def read_addition(folder: Path, dataset: str, corpus: pd.DataFrame) -> Addition:
    """Return what a model adds for a data set.

    Args:
        folder: The model directory.
        dataset: The name of the data set.
        corpus: Its documents.

    Raises:
        InputError: The model was made for other documents of a data set of this name.
    """
    scope = read_scope(folder)
    if scope is None or not (scope.everywhere or scope.dataset == dataset):
        return Addition()
    if scope.dataset == dataset and scope.corpus != corpus_hash(corpus):
        raise InputError(
            f"{folder}: expected the documents of {dataset!r} that the model was made for, got others; "
            "run finetune again"
        )
    vectors, query_model = folder / SCOPE / VECTORS, folder / SCOPE / QUERY_MODEL
    return Addition(
        np.load(vectors) if vectors.is_file() and scope.dataset == dataset else None,
        query_model if query_model.is_dir() else None,
    )


def write_scope(folder: Path, scope: Scope) -> None:
    """Write the scope of a model into its directory."""
    write_json(folder / SCOPE / SETTINGS, scope.model_dump())


def corpus_hash(corpus: pd.DataFrame) -> str:
    """Return a hash of the ids and the texts of documents, in their order."""
    digest = hashlib.sha256()
    for doc_id, text in zip(corpus["doc_id"], document_texts(corpus), strict=True):
        digest.update(f"{len(doc_id)} {len(text)} {doc_id}{text}".encode(errors="surrogatepass"))
    return digest.hexdigest()
