"""Format `python_docs`: the documentation strings of installed packages as a retrieval data set.

The first paragraph of the documentation string of a public class or function is a query; the rest is its document.
The sources are parsed, not imported. `raw` is the requirements file that pins the packages, so that a new version of
a package changes the data set.
"""

import ast
import importlib.metadata
import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveInt

from retune.core.errors import InputError
from retune.params.convert import Convert
from retune.reading.lines import read_lines
from retune.reading.source_records import Document, Dropped, Judgment, Query, Record

SKIPPED_FOLDERS = {"tests", "test", "testing", "_vendor", "externals", "benchmarks"}


class Params(Convert):
    """The packages to read, and limits."""

    packages: Annotated[list[str], Field(min_length=1)]  # import names
    min_query_words: PositiveInt
    min_characters: PositiveInt  # of a document
    max_characters: PositiveInt  # of a document; the rest is cut off
    max_documents: PositiveInt  # chosen at even distances among all found; the others are counted as dropped


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the documentation of the packages, which the requirements file `raw` must pin.

    Raises:
        InputError: A package is not installed, or the installed version is not the pinned one.
    """
    pins = _read_pins(raw)
    pairs: dict[str, tuple[str, str, str]] = {}  # by document, so that none repeats
    for package in params.packages:
        for name, query, document in _package_pairs(_package_folder(package, pins, raw), package):
            text = document[: params.max_characters].rstrip()
            if len(query.split()) < params.min_query_words or len(document) < params.min_characters:
                yield Dropped("query or document too short")
                continue
            if text in pairs:
                yield Dropped("document repeated")
            pairs.setdefault(text, (name, query, package))
    found = list(pairs.items())
    count = min(len(found), params.max_documents)
    yield Dropped("above max_documents", len(found) - count)
    for text, (name, query, package) in (found[index * len(found) // count] for index in range(count)):
        yield Document(name, None, text, name)
        yield Query(name, query, name, group=package)
        yield Judgment(name, name, 1, name)


def _read_pins(raw: Path) -> dict[str, set[str]]:
    pins: dict[str, set[str]] = {}
    for _, line in read_lines(raw):
        if match := re.match(r"([A-Za-z0-9_.-]+)==([^ ;]+)", line):
            pins.setdefault(_normal(match[1]), set()).add(match[2])
    return pins


def _package_folder(package: str, pins: dict[str, set[str]], raw: Path) -> Path:
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"{package}: expected an installed package, found none; install {raw}")
    distributions = importlib.metadata.packages_distributions().get(package)
    if not distributions:
        raise InputError(
            f"{package}: expected a package that {raw} pins, got one that belongs to no installed distribution"
        )
    distribution = distributions[0]
    installed = importlib.metadata.version(distribution).split("+")[0]
    pinned = pins.get(_normal(distribution), set())
    if installed not in pinned:
        found = " or ".join(sorted(pinned)) or "none"
        raise InputError(
            f"{raw}: {distribution}: expected the installed version {installed} to be pinned, got {found}; "
            f"install {raw}"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _package_pairs(folder: Path, package: str) -> Iterator[tuple[str, str, str]]:
    """Yield (qualified name, query, document) in the order of files and lines."""
    for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).parts):
        relative = path.relative_to(folder)
        if SKIPPED_FOLDERS.intersection(relative.parts) or path.name == "conftest.py":
            continue
        module = ".".join([package, *relative.with_suffix("").parts]).removesuffix(".__init__")
        tree = ast.parse(path.read_bytes(), filename=str(path))
        for name, docstring in _docstrings(tree, module):
            query, _, document = inspect.cleandoc(docstring).partition("\n\n")
            yield name, " ".join(query.split()), document.strip()


def _docstrings(node: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the names and documentation strings of public classes, functions and methods."""
    seen: dict[str, int] = {}
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or child.name.startswith("_"):
            continue
        seen[child.name] = seen.get(child.name, 0) + 1
        name = f"{prefix}.{child.name}" + (f"#{seen[child.name]}" if seen[child.name] > 1 else "")
        if docstring := ast.get_docstring(child, clean=False):
            yield name, docstring
        if isinstance(child, ast.ClassDef):
            yield from _docstrings(child, name)


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
