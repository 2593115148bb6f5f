"""A table of vectors becomes a model directory, and every fault of the table is named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retune.core.errors import InputError
from retune.core.provenance import read_origins
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.fetching import fetch
from retune.models.vector_table import read_vector_table
from retune.params.fetch import parse_entry

GOOD = pd.DataFrame(
    {"role": ["query", "document", "document"], "text": ["a", "a", "b"], "vector": [[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]]}
)


def fetched(table: pd.DataFrame, folder: Path) -> Path:
    table.to_parquet(folder / "table.parquet")
    entry = {"source": "vectors", "path": str(folder / "table.parquet"), "licence": "CC-BY-4.0"}
    fetch.fetch(parse_entry("fetch.teacher", entry), folder / "teacher", where="params.yaml: fetch.teacher")
    return folder / "teacher"


def test_vectors_are_found_by_role_and_text_with_length_one(tmp_path: Path) -> None:
    found = read_vector_table(fetched(GOOD, tmp_path))
    np.testing.assert_allclose(found.of("query", ["a"]), [[0.6, 0.8]])
    np.testing.assert_allclose(found.of("document", ["b", "a", "b"]), [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    (origin,) = read_origins(tmp_path / "teacher")
    assert (origin.kind, origin.name, origin.licence) == ("model", "teacher", "CC-BY-4.0")


def test_table_is_no_model_to_encode_with(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="expected an embedding model, got a table of vectors; only loss embed_distill"
    ):
        Encoder.load(fetched(GOOD, tmp_path), Compute(device="cpu", token_budget=512))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (GOOD.drop(columns="vector"), "expected the columns role, text, vector, got none named vector"),
        (GOOD.assign(role="passage"), "expected query or document as role, got 'passage'"),
        (GOOD.assign(role="document"), "expected each text once for each role, got the document 'a' twice"),
        (
            GOOD.assign(vector=[[1.0], [1.0, 2.0], [1.0]]),
            "expected a list of equally many numbers as vector in every row",
        ),
        (GOOD.assign(vector=[[1.0], None, [1.0]]), "expected a list of equally many numbers as vector in every row"),
        (GOOD.assign(vector=[["x"], ["y"], ["z"]]), "expected a list of equally many numbers as vector in every row"),
        (GOOD.assign(vector=[1.0, 2.0, 3.0]), "expected a list of equally many numbers as vector in every row"),
        (
            GOOD.assign(vector=[[[1.0]], [[1.0]], [[1.0]]]),
            "expected a list of equally many numbers as vector in every row",
        ),
        (GOOD.assign(text=["a", None, "b"]), "expected a text in every row, got (None|nan) in row 1"),
        (
            GOOD.assign(vector=[[1.0, 2.0], [float("nan"), 1.0], [0.0, 0.0]]),
            "expected vectors that are finite and not zero, got another for the document 'a' and 1 more",
        ),
        (GOOD.head(0), "expected a list of equally many numbers as vector in every row"),
    ],
)
def test_fault_of_the_table_is_named(table: pd.DataFrame, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        fetched(table, tmp_path)
    assert not (tmp_path / "teacher").exists()


@pytest.mark.parametrize("content", [None, b"no parquet"])
def test_file_that_is_no_table_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    if content is not None:
        path.write_bytes(content)
    entry = parse_entry("fetch.teacher", {"source": "vectors", "path": str(path), "licence": "MIT"})
    with pytest.raises(
        InputError, match=r"fetch.teacher.path: expected a Parquet file of vectors, got .*table.parquet"
    ):
        fetch.fetch(entry, tmp_path / "teacher", where="params.yaml: fetch.teacher")
