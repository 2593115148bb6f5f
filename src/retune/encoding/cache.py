"""The embedding cache: one SQLite file per model and encoding settings, which maps a text to its vector.

A stored vector is used only if the checksum of its row is right. If a file has any other fault, its texts are encoded
again: a fault never gives a wrong vector and never stops the stage.
"""

import hashlib
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from retune.core.errors import InputError
from retune.encoding.cache_store import ERRORS, SUFFIX, create, read_about, read_dim, shrink
from retune.encoding.compute import Cache

LOG = logging.getLogger(__name__)
KEYS_A_QUERY = 500
STORE_EVERY_S = 2.0  # a killed process loses this much; storing less often is no faster
LOCK_TIMEOUT_S = 60.0  # other processes lock the file for milliseconds only
FLOAT = np.dtype("<f4")
Result = TypeVar("Result")
DAMAGE = {  # SQLITE_ERROR: as our SQL is right, the tables must be wrong
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_TOOBIG,
}


@dataclass(frozen=True)
class Entry:
    """The description of one file of the cache.

    Attributes:
        key: The model's `fingerprint`, 64 hexadecimal digits: the file's name, and part of every text's key.
        model: The model's name, shown to people.
        role: `queries` or `documents`.
        dim: The number of dimensions of its vectors.
    """

    key: str
    model: str
    role: str
    dim: int


@dataclass(frozen=True)
class StoredVector:
    """The bytes of a text's vector, and whether the text was cut."""

    vector: bytes
    is_cut: bool


class EmbeddingCache:
    """One open file. If the file turns out to be unusable, reading finds nothing and writing does nothing."""

    def __init__(self, folder: Path, entry: Entry) -> None:
        """Open the file, or create it; use `open_cache`, which also closes it.

        Raises:
            InputError: The file's vectors have a different number of dimensions than the model's.
        """
        self.has_written = False
        self.path = _path(folder, entry.key)
        self._entry = entry
        self._is_usable = True
        self._connection: sqlite3.Connection | None = None
        self._queue: list[tuple[bytes, int, int, bytes]] = []
        self._stored_at = time.monotonic()
        self._attempt(lambda connection: None)  # opens the file

    def read(
        self, texts: Sequence[str], rows: Sequence[int], out: np.ndarray, is_cut: np.ndarray | None = None
    ) -> list[int]:
        """Copy the stored vectors of texts into an array.

        Args:
            texts: The model's inputs, prompts and prefixes included.
            rows: The texts to look up, by position.
            out: (texts, dim) float32; the rows found are filled in.
            is_cut: (texts,) bool, whether each text was cut; filled in likewise. Or None.

        Returns:
            The rows that are not stored, in order.
        """
        keys = self._keys([texts[row] for row in rows]) if self._is_usable else []
        found: set[int] = set()
        for start in range(0, len(keys), KEYS_A_QUERY):
            wanted = dict(zip(keys[start : start + KEYS_A_QUERY], rows[start : start + KEYS_A_QUERY], strict=True))
            if stored := self._attempt(partial(self._select, wanted=wanted)):
                vectors = b"".join(item.vector for item in stored.values())
                out[list(stored)] = np.frombuffer(vectors, FLOAT).reshape(len(stored), -1)
                if is_cut is not None:
                    is_cut[list(stored)] = [item.is_cut for item in stored.values()]
                found |= stored.keys()
        return [row for row in rows if row not in found]

    def write(self, texts: Sequence[str], vectors: np.ndarray, is_cut: np.ndarray | None = None) -> None:
        """Queue (texts, dim) float32 vectors, and whether each text was cut; the queue is stored every few seconds."""
        if not self._is_usable:
            return
        cuts = [0] * len(texts) if is_cut is None else is_cut.astype(int).tolist()
        for key, vector, cut in zip(self._keys(texts), vectors.astype(FLOAT), cuts, strict=True):
            value = vector.tobytes()
            self._queue.append((key, _checksum(key, cut, value), cut, value))
        if time.monotonic() - self._stored_at >= STORE_EVERY_S:
            self.store()

    def check_dim(self, dim: int) -> None:
        """Refuse a model, loaded only now, whose vectors have another number of dimensions than the file's."""
        if dim != self._entry.dim:
            raise self._other_dim(dim, self._entry.dim)

    def store(self) -> None:
        """Store the queue, all of it or nothing."""
        if self._queue:
            self._attempt(self._insert)
            self.has_written |= self._is_usable
        self._queue = []
        self._stored_at = time.monotonic()

    def close(self) -> None:
        """Close the file; queued vectors are lost."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _keys(self, texts: Sequence[str]) -> list[bytes]:
        """Hash texts, keyed by the model, so that no text can ever find a vector of another model."""
        model = bytes.fromhex(self._entry.key)
        return [hashlib.blake2b(text.encode(), digest_size=16, key=model).digest() for text in texts]

    def _select(self, connection: sqlite3.Connection, wanted: dict[bytes, int]) -> dict[int, StoredVector]:
        """Return the undamaged vectors stored under some keys, by the row that `wanted` gives each key."""
        stored: dict[int, StoredVector] = {}
        marks = ",".join("?" * len(wanted))
        query = f"SELECT key, checksum, is_cut, vector FROM vectors WHERE key IN ({marks})"
        for key, checksum, is_cut, vector in connection.execute(query, list(wanted)):
            is_whole = isinstance(vector, bytes) and len(vector) == self._entry.dim * FLOAT.itemsize
            is_known = key in wanted and is_whole and isinstance(is_cut, int) and is_cut in (0, 1)
            if is_known and checksum == _checksum(key, is_cut, vector):
                stored[wanted[key]] = StoredVector(vector, bool(is_cut))
        return stored

    def _insert(self, connection: sqlite3.Connection) -> None:
        with connection:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", self._queue)

    def _attempt(self, action: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """Return the result of an action on the file, or None if the file is unusable.

        If the file is damaged, the action is tried once more on a new one; if that fails, the file is unusable.
        """
        for is_last in (False, True):
            if not self._is_usable:
                return None
            try:
                self._connection = self._connection or self._connect()
                return action(self._connection)
            except ERRORS as error:
                self.close()
                if is_last or not _is_damage(error):
                    self._is_usable = False
                    LOG.warning("%s: %s; continuing without the embedding cache", self.path, error)
                else:
                    LOG.warning("%s: damaged (%s); moved aside, so its texts are encoded again", self.path, error)
                    with suppress(OSError):
                        _move_aside(self.path)
        return None

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            create(self.path, asdict(self._entry))
        connection = sqlite3.connect(self.path, timeout=LOCK_TIMEOUT_S, isolation_level="IMMEDIATE")
        try:
            connection.text_factory = bytes  # the text of a damaged file may not be UTF-8
            connection.execute("PRAGMA synchronous = NORMAL")  # with WAL, a power cut loses the last rows only
            self._check(connection)
            os.utime(self.path)  # for `shrink`
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        dim = read_about(connection)["dim"]
        if dim != self._entry.dim:
            raise self._other_dim(self._entry.dim, dim)

    def _other_dim(self, of_model: int, of_file: int) -> InputError:
        return InputError(
            f"{self.path}: expected vectors of {of_model} dimensions, like those of the model {self._entry.model!r}, "
            f"got {of_file}; run `python -m stages.cache empty`"
        )


def stored_dim(settings: Cache, key: str) -> int | None:
    """Return the dimensions of the vectors stored under a model's key; None if there is no readable file."""
    return read_dim(_path(settings.folder, key))


@contextmanager
def open_cache(settings: Cache, entry: Entry) -> Iterator[EmbeddingCache]:
    """Open a model's file; at the end, store queued vectors, and delete old files if the cache is over its limit."""
    folder = settings.folder
    cache = EmbeddingCache(folder, entry)
    try:
        yield cache
    finally:
        cache.store()
        cache.close()
        if cache.has_written:
            try:
                shrink(folder, settings.max_gb, keep=cache.path)
            except ERRORS as error:
                LOG.warning("%s: %s; the embedding cache may be over its limit", folder, error)


def _path(folder: Path, key: str) -> Path:
    return folder / f"{key}{SUFFIX}"


def _checksum(key: bytes, is_cut: int, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(bytes([is_cut]), zlib.crc32(key)))


def _is_damage(error: Exception) -> bool:
    """Return whether the file's content is damaged, rather than unreadable or unwritable at the moment."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.DataError | UnicodeDecodeError) or (code is not None and code & 0xFF in DAMAGE)


def _move_aside(path: Path) -> None:
    for part in ("-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)
    os.replace(path, path.with_suffix(".damaged"))
