"""The data that a user points at: its files, and a name for it."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ruamel.yaml import YAML

from retune.core.errors import InputError
from retune.core.section import NAME

PACKED = ".gz"


@dataclass(frozen=True)
class Source:
    """A file, or a folder with files at any depth.

    Attributes:
        path: Where it is.
    """

    path: Path

    @property
    def is_folder(self) -> bool:
        """Return whether the data is a folder."""
        return self.path.is_dir()

    @cached_property
    def files(self) -> dict[str, Path]:
        """Return the visible files by their path inside the folder, sorted; links to folders are not followed."""
        if not self.is_folder:
            return {self.path.name: self.path}
        found = {file.relative_to(self.path).as_posix(): file for file in _walk(self.path)}
        return dict(sorted(found.items()))

    @cached_property
    def names(self) -> dict[str, Path]:
        """Return the files as formats name them: without .gz."""
        return {name.removesuffix(PACKED): file for name, file in self.files.items()}

    @property
    def size(self) -> int:
        """Return the number of bytes of all files."""
        return sum(file.stat().st_size for file in self.files.values())

    def ending(self, *suffixes: str) -> dict[str, Path]:
        """Return the files with one of the suffixes, in any case, perhaps before .gz."""
        return {name: file for name, file in self.names.items() if name.lower().endswith(suffixes)}


def find(data: str) -> Source:
    """Return the data at a path, which may begin with ~.

    Raises:
        InputError: No path is given, or there are no files.
    """
    if not data.strip():
        raise InputError("DATA: expected a file or folder: make start DATA=path [NAME=name] [LLM=model]")
    source = Source(Path(data).expanduser())
    if not source.path.exists():
        raise InputError(f"{source.path}: expected a file or folder, found nothing; fix the path in DATA")
    if not source.files:
        raise InputError(f"{source.path}: expected files, found an empty folder; put your data there")
    if not source.size:
        raise InputError(f"{source.path}: expected data, found empty files only; put your data there")
    return source


def name_of(source: Source, wanted: str) -> str:
    """Return the name that the user wants, or one made of the name of the file or folder.

    Raises:
        InputError: The wanted name is not allowed, or the file's name has no character that is.
    """
    if wanted and not (re.fullmatch(NAME, wanted) and _is_text(wanted)):
        raise InputError(f"NAME: expected a name of a-z, 0-9 and _ that YAML takes for a text, got {wanted!r}")
    path = source.path.resolve()
    stem = path.name if source.is_folder else path.name.partition(".")[0]
    name = wanted or re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    if not name:
        raise InputError(f"NAME: expected a name of a-z, 0-9 and _, as {path.name!r} gives none; add NAME=name")
    return name if _is_text(name) else f"data_{name}"


def _is_text(name: str) -> bool:
    """Return whether YAML takes a plain name for a text, unlike 2024 or null."""
    return isinstance(YAML(typ="safe").load(name), str)


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (path for name in files if not name.startswith(".") and (path := Path(parent, name)).is_file())
