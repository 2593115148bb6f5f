"""Fetch a table of vectors, the teacher of a model that learns from them."""

import shutil
from pathlib import Path

import pandas as pd
from pyarrow import ArrowInvalid

from retune.core.errors import InputError
from retune.core.files import atomic_directory
from retune.core.provenance import Origin, write_origins
from retune.models.vector_table import VECTOR_TABLE, parse_vector_table
from retune.params.fetch import Vectors


def fetch_vectors(params: Vectors, out: Path, *, where: str) -> None:
    """Check the table of vectors that `params.path` names, and copy it into a model directory.

    Raises:
        InputError: The file is missing or no Parquet file, or `parse_vector_table` refuses it.
    """
    path = Path(str(params.path))
    try:
        table = pd.read_parquet(path)
    except (OSError, ArrowInvalid):
        raise InputError(
            f"{where}.path: expected a Parquet file of vectors, got {params.path!r}; put it there"
        ) from None
    parse_vector_table(table, path)
    with atomic_directory(out) as partial:
        shutil.copyfile(path, partial / VECTOR_TABLE)
        write_origins(partial, [Origin("model", out.name, params.licence, str(path), use="")])
