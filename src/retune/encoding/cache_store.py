"""The files of the embedding cache: create one, list them, and keep them within a size limit."""

import json
import logging
import os
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from retune.core.errors import InputError
from retune.encoding.compute import Compute

PAGE_BYTES = 16384  # holds ten vectors of 384 dimensions, or three of 1024
ERRORS = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What an unreadable file raises; Python cannot decode a message of SQLite that quotes damaged bytes."""


def create(path: Path, about: dict[str, Any]) -> None:
    """Create an empty file atomically, unless another process was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(about).encode()
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".new")
    os.close(handle)
    try:
        with closing(sqlite3.connect(name)) as connection, connection:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")  # readers go on while one process writes
            connection.execute("CREATE TABLE about (checksum INTEGER, content BLOB)")
            connection.execute(
                "CREATE TABLE vectors (key BLOB PRIMARY KEY, checksum INTEGER, is_cut INTEGER, vector BLOB)"
            )
            connection.execute("INSERT INTO about VALUES (?, ?)", (zlib.crc32(content), content))
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)


def read_about(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return the description stored in a file.

    Raises:
        sqlite3.DataError: The description is damaged.
    """
    row = connection.execute("SELECT checksum, content FROM about").fetchone()
    if row is None or not isinstance(row[1], bytes) or row[0] != zlib.crc32(row[1]):
        raise sqlite3.DataError("the file's description has a wrong checksum")
    return dict(json.loads(row[1]))


def read_dim(path: Path) -> int | None:
    """Return the dimensions of a file's vectors; None if the file is missing or unreadable."""
    uri = f"{path.absolute().as_uri()}?mode=rw"  # does not create a file
    with suppress(*ERRORS), closing(sqlite3.connect(uri, uri=True)) as connection:
        return int(read_about(connection)["dim"])
    return None


SUFFIX = ".sqlite"
GB = 10**9
LOG = logging.getLogger(__name__)


def count_vectors(folder: Path, key: str) -> int:
    """Return how many vectors the file of a key has; 0 if there is no file."""
    path = folder / f"{key}{SUFFIX}"
    return _about(path)[1] if path.is_file() else 0


def shrink(folder: Path, max_gb: float, *, keep: Path | None = None) -> int:
    """Delete the least recently used files until the cache is within its limit; files in use are kept.

    Args:
        folder: The folder of the cache.
        max_gb: The limit for all files together.
        keep: A file that is never deleted.

    Returns:
        The number of files deleted.
    """
    paths = _files(folder)
    left = sum(_size(path) for path in paths)
    deleted = 0
    for path in paths:
        if left > max_gb * GB and path != keep and not _is_in_use(path):
            left -= _size(path)
            for part in _parts(path):
                part.unlink(missing_ok=True)
            deleted += 1
    if deleted:
        LOG.info("%s: embedding cache: %d files deleted, the least recently used", folder, deleted)
    return deleted


def manage(command: str, compute: Compute) -> str:
    """Run a command on the cache and return the text to print.

    Args:
        command: `show` to list its files, `prune` to bring it within its limit, `empty` to delete all of it.
        compute: Names its folder and its limit.

    Raises:
        InputError: The command is unknown, or there is no cache.
    """
    if compute.cache is None:
        raise InputError("RETUNE_CACHE: expected a folder, got nothing, which means no cache; set it to a folder")
    folder = compute.cache.folder
    match command:
        case "show":
            lines = ["model\tof\tdim\tvectors\tMB\tlast used\tfile", *_lines(folder)]
            total = sum(_size(path) for path in _files(folder)) / GB
            return "\n".join([*lines, f"{folder}: {total:.3f} of {compute.cache.max_gb} GB"])
        case "prune" | "empty":
            deleted = shrink(folder, compute.cache.max_gb if command == "prune" else 0.0)
            return f"{folder}: {deleted} files deleted, {len(_files(folder))} left"
        case _:
            raise InputError(f"cache: expected show, prune or empty, got {command!r}; use one of these")


def _lines(folder: Path) -> Iterator[str]:
    """Yield a line for each file, the most recently used first."""
    for path in reversed(_files(folder)):
        about, vectors = _about(path)
        cells = [about.get("model", "unreadable"), about.get("role", ""), about.get("dim", ""), vectors]
        used = datetime.fromtimestamp(path.stat().st_mtime).isoformat(" ", "minutes")
        yield "\t".join(map(str, [*cells, f"{_size(path) / 10**6:.1f}", used, path.name[:12]]))


def _about(path: Path) -> tuple[dict[str, object], int]:
    """Return a file's description and its number of vectors; an empty description and 0 if it is damaged."""
    with suppress(sqlite3.Error, ValueError, TypeError), closing(sqlite3.connect(path)) as connection:
        (content,) = connection.execute("SELECT content FROM about").fetchone()
        (vectors,) = connection.execute("SELECT count(*) FROM vectors").fetchone()
        return dict(json.loads(content)), int(vectors)
    return {}, 0


def _files(folder: Path) -> list[Path]:
    """Return the files of the cache, damaged and unfinished ones too, the least recently used first."""
    paths = [path for suffix in (SUFFIX, ".damaged", ".new") for path in folder.glob(f"*{suffix}")]
    return sorted(paths, key=lambda path: (path.stat().st_mtime, path.name))


def _parts(path: Path) -> list[Path]:
    """Return a database and the files SQLite keeps beside it while it is open."""
    return [path, *(path.with_name(path.name + part) for part in ("-wal", "-shm"))]


def _size(path: Path) -> int:
    return sum(part.stat().st_size for part in _parts(path) if part.exists())


def _is_in_use(path: Path) -> bool:
    """Return whether any process has the file open: only then can SQLite not leave WAL mode."""
    with closing(sqlite3.connect(path, timeout=0)) as connection:
        try:
            return bool(connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("wal",))
        except sqlite3.OperationalError as error:
            return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            return False  # damaged
