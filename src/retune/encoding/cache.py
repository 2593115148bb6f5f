"""Vectors computed once: an SQLite file per model and way of encoding, in which a text finds its vector.

A stored vector is used only if its checksum, over all of its row, is right. Whatever else is wrong with a file costs
encoding again: never a wrong vector, and never the run.
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

import numpy as np

from retune.core.errors import InputError
from retune.encoding.cache_store import SUFFIX, create, read_about, read_dim, shrink
from retune.encoding.compute import Cache

LOG = logging.getLogger(__name__)

KEYS_A_QUERY = 500
STORE_EVERY_S = 2.0  # what a killed process loses; rarer gains nothing
LOCK_TIMEOUT_S = 60.0  # another process holds the file for milliseconds
FLOAT = np.dtype("<f4")
Stored = tuple[bytes, int]  # a vector, and whether its text was cut
DAMAGE = {  # a mistake in our SQL aside, SQLITE_ERROR means that the tables are not those we made
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_TOOBIG,
}


@dataclass(frozen=True)
class Entry:
    """What one file holds.

    Attributes:
        key: The model's `fingerprint`, 64 hexadecimal digits; the file's name, and part of every text's key.
        model: Its name, for people.
        role: `queries` or `documents`.
        dim: Of its vectors.
    """

    key: str
    model: str
    role: str
    dim: int


class EmbeddingCache:
    """One open file. Once it cannot be used, reading finds nothing and writing does nothing."""

    def __init__(self, folder: Path, entry: Entry) -> None:
        """Open the file, which is made if need be; `open_cache` closes it as well.

        Raises:
            InputError: It holds vectors of other dimensions than the model gives.
        """
        self.has_written = False
        self.path = _path(folder, entry.key)
        self._entry = entry
        self._is_usable = True
        self._connection: sqlite3.Connection | None = None
        self._waiting: list[tuple[bytes, int, int, bytes]] = []
        self._stored_at = time.monotonic()
        self._attempt(lambda connection: None)

    def read(
        self, texts: Sequence[str], rows: Sequence[int], out: np.ndarray, is_cut: np.ndarray | None = None
    ) -> list[int]:
        """Fill in the vectors that are stored.

        Args:
            texts: What the model reads, prompts and prefixes included.
            rows: Which of them to look up.
            out: (texts, dim) float32; row by row filled with what is found.
            is_cut: (texts,) bool; filled likewise, as `write` was told, or None.

        Returns:
            The rows that are not stored, in order.
        """
        keys = self._keys([texts[row] for row in rows]) if self._is_usable else []
        found: set[int] = set()
        for start in range(0, len(keys), KEYS_A_QUERY):
            wanted = dict(zip(keys[start : start + KEYS_A_QUERY], rows[start : start + KEYS_A_QUERY], strict=True))
            stored: dict[int, Stored] = {}
            self._attempt(partial(self._select, wanted=wanted, stored=stored))
            if stored:
                vectors, cuts = zip(*stored.values(), strict=True)
                out[list(stored)] = np.frombuffer(b"".join(vectors), FLOAT).reshape(len(stored), -1)
                if is_cut is not None:
                    is_cut[list(stored)] = cuts
                found |= stored.keys()
        return [row for row in rows if row not in found]

    def write(self, texts: Sequence[str], vectors: np.ndarray, is_cut: np.ndarray | None = None) -> None:
        """Take (texts, dim) float32 vectors, to be stored with others every few seconds, and what was cut, if any."""
        if not self._is_usable:
            return
        cuts = [0] * len(texts) if is_cut is None else is_cut.astype(int).tolist()
        for key, vector, cut in zip(self._keys(texts), vectors.astype(FLOAT), cuts, strict=True):
            value = vector.tobytes()
            self._waiting.append((key, _checksum(key, cut, value), cut, value))
        if time.monotonic() - self._stored_at >= STORE_EVERY_S:
            self.store()

    def check_dim(self, dim: int) -> None:
        """Refuse a model, loaded only now, that gives vectors of other dimensions than the file holds."""
        if dim != self._entry.dim:
            raise self._other_dim(dim, self._entry.dim)

    def store(self) -> None:
        """Store what waits, all of it or none."""
        if self._waiting:
            self._attempt(self._insert)
            self.has_written |= self._is_usable
        self._waiting = []
        self._stored_at = time.monotonic()

    def close(self) -> None:
        """Let go of the file; what waits is lost."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _keys(self, texts: Sequence[str]) -> list[bytes]:
        """Hash texts, keyed by the model: no file can hold a vector that another model's text would find."""
        model = bytes.fromhex(self._entry.key)
        return [hashlib.blake2b(text.encode(), digest_size=16, key=model).digest() for text in texts]

    def _select(self, connection: sqlite3.Connection, wanted: dict[bytes, int], stored: dict[int, Stored]) -> None:
        marks = ",".join("?" * len(wanted))
        query = f"SELECT key, checksum, is_cut, vector FROM vectors WHERE key IN ({marks})"
        for key, checksum, is_cut, vector in connection.execute(query, list(wanted)):
            is_whole = isinstance(vector, bytes) and len(vector) == self._entry.dim * FLOAT.itemsize
            is_known = key in wanted and is_whole and isinstance(is_cut, int) and is_cut in (0, 1)
            if is_known and checksum == _checksum(key, is_cut, vector):
                stored[wanted[key]] = vector, is_cut

    def _insert(self, connection: sqlite3.Connection) -> None:
        with connection:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", self._waiting)

    def _attempt(self, action: Callable[[sqlite3.Connection], None]) -> None:
        """Do something with the file: anew once if it is damaged, and nothing ever after if it cannot be used."""
        for is_last in (False, True):
            if not self._is_usable:
                return
            try:
                self._connection = self._connection or self._connect()
                return action(self._connection)
            except (sqlite3.Error, OSError) as error:
                self.close()
                if is_last or not _is_damage(error):
                    self._is_usable = False
                    LOG.warning("%s: %s; going on without the embedding cache", self.path, error)
                else:
                    LOG.warning("%s: damaged (%s); moved aside, its texts are encoded again", self.path, error)
                    with suppress(OSError):
                        _move_aside(self.path)

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            create(self.path, asdict(self._entry))
        connection = sqlite3.connect(self.path, timeout=LOCK_TIMEOUT_S, isolation_level="IMMEDIATE")
        try:
            connection.text_factory = bytes  # of a damaged file, text may not be UTF-8
            connection.execute("PRAGMA synchronous = NORMAL")  # with WAL: a power cut costs the last rows, not the file
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
            f"{self.path}: expected vectors of {of_model} dimensions, as the model {self._entry.model!r} gives, "
            f"the file says {of_file}; run `python -m stages.cache empty`"
        )


def stored_dim(settings: Cache, key: str) -> int | None:
    """Return the dimensions of the vectors stored under a model's key; None if there is no file that can be read."""
    return read_dim(_path(settings.folder, key))


@contextmanager
def open_cache(settings: Cache, entry: Entry) -> Iterator[EmbeddingCache]:
    """Open a model's vectors; in the end store what waits, and keep all models together within their limit."""
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
            except (sqlite3.Error, OSError) as error:
                LOG.warning("%s: %s; the embedding cache may be over its limit", folder, error)


def _path(folder: Path, key: str) -> Path:
    return folder / f"{key}{SUFFIX}"


def _checksum(key: bytes, is_cut: int, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(bytes([is_cut]), zlib.crc32(key)))


def _is_damage(error: Exception) -> bool:
    """Tell a file that is not what was written from one that cannot be read or written now."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.DataError) or (code is not None and code & 0xFF in DAMAGE)


def _move_aside(path: Path) -> None:
    for part in ("-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)
    os.replace(path, path.with_suffix(".damaged"))
