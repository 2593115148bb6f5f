"""The blocks of the page load vectors into databases, where these are installed, and find what the evaluation finds."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages import vectors as command
from tests.support.commands import blocks, lines, text_of
from tests.vectors.test_ship import dataset, evaluated, project  # noqa: F401 # a fixture

PAGE = "docs/vectors.md"
QUERY = 3  # its words take the place of those on the page
Found = dict[str, Any]


def python_blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text_of(PAGE), flags=re.DOTALL | re.MULTILINE)


def test_every_block_is_run_by_a_test() -> None:
    first, *others = python_blocks()
    assert "read_table" in first
    assert [re.search(r"^(?:import|from) (\w+)", block)[1] for block in others] == [
        "lancedb",
        "psycopg",
        "qdrant_client",
        "faiss",
    ]


@pytest.fixture
def load(project: Path) -> Callable[..., Found]:  # noqa: F811
    """Run a block of the page after its first one, in a folder with what its commands write; return its variables."""
    for line in lines(blocks(PAGE)[0]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["vectors", *line.split()[3:]])
            command.run(command.main)

    def run(library: str, **replaced: str) -> Found:
        first, *others = python_blocks()
        [block] = [block for block in others if re.match(rf"(?:import|from) {library}\b", block)]
        code = f"{first}\n{block}"
        for old, new in ({"matrix inverse": dataset().splits["test"].queries["text"][QUERY]} | replaced).items():
            assert code.count(old) == 1
            code = code.replace(old, new)
        found: Found = {}
        exec(code, found)
        return found

    return run


def nearest(folder: Path) -> set[str]:
    return set(evaluated(folder)[1][QUERY])


def check(found: Found, expected: set[str]) -> None:
    if "found" in found:
        assert set(found["found"]) == expected
    if "found_by_bits" in found:
        assert len(found["found_by_bits"]) == 10
        assert len({*found["found_by_bits"]} & expected) >= 7


@pytest.mark.slow
def test_lancedb_finds_what_the_evaluation_finds(load: Callable[..., Found], project: Path) -> None:  # noqa: F811
    pytest.importorskip("lancedb", reason="LanceDB is not installed: pip install lancedb")
    check(load("lancedb"), nearest(project))


@pytest.mark.slow
def test_qdrant_finds_what_the_evaluation_finds(load: Callable[..., Found], project: Path) -> None:  # noqa: F811
    pytest.importorskip("qdrant_client", reason="Qdrant's client is not installed: pip install qdrant-client")
    check(load("qdrant_client", **{'"http://localhost:6333"': '":memory:"'}), nearest(project))


@pytest.mark.slow
def test_pgvector_finds_what_the_evaluation_finds(load: Callable[..., Found], project: Path) -> None:  # noqa: F811
    for package in ("psycopg", "pgvector"):
        pytest.importorskip(
            package, reason='pgvector\'s client is not installed: pip install "psycopg[binary]" pgvector'
        )
    if not (database := os.environ.get("TEST_PGVECTOR")):
        pytest.skip("TEST_PGVECTOR names no empty database of PostgreSQL with pgvector, such as 'host=localhost'")
    check(load("psycopg", **{"dbname=search": database}), nearest(project))


def test_faiss_finds_what_the_evaluation_finds(load: Callable[..., Found], project: Path) -> None:  # noqa: F811
    check(load("faiss"), nearest(project))
