"""One file of the embedding cache: how it is made, and what it says of itself."""

import json
import os
import sqlite3
import tempfile
import zlib
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

PAGE_BYTES = 16384  # fits ten vectors of 384 dimensions, three of 1024


def create(path: Path, about: dict[str, Any]) -> None:
    """Make an empty file that is whole from its first moment on, unless another process is faster."""
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
    """Return what a file says of itself.

    Raises:
        sqlite3.DataError: It is damaged.
    """
    row = connection.execute("SELECT checksum, content FROM about").fetchone()
    if row is None or not isinstance(row[1], bytes) or row[0] != zlib.crc32(row[1]):
        raise sqlite3.DataError("what it says of itself is not what was written")
    return dict(json.loads(row[1]))


def read_dim(path: Path) -> int | None:
    """Return the dimensions of a file's vectors; None if there is no such file, or it cannot be read."""
    uri = f"{path.absolute().as_uri()}?mode=rw"  # such that none is made
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as connection:
        return int(read_about(connection)["dim"])
    return None
