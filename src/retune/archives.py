"""Reading JSON records, an array or lines, from a plain file or from the one JSON file in a zip archive."""

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any, cast

from retune.errors import InputError
from retune.reading import BOM, MAX_LINE_BYTES, existing_file, parse_object


def read_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the fields of each object, of an array loaded whole or of lines as they stream by.

    The first character tells an array from lines, since published names do not. Nothing is unpacked to disk.

    Raises:
        InputError: The archive is damaged, encrypted, names files outside itself or holds no single JSON file;
            or the content is not UTF-8 or not JSON objects.
    """
    try:
        with _opened(existing_file(path)) as file:
            start = file.peek(512).removeprefix(BOM).lstrip()
            yield from _array(file, path) if start.startswith(b"[") else _lines(file, path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8, got {error.reason}; save it as UTF-8") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputError(f"{path}: expected a whole zip file, got: {error}; copy it again") from None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file, or the one JSON file in it, for reading bytes with a peek."""
    if path.suffix != ".zip":
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive, archive.open(_one_member(archive, path)) as member:
        yield member


def _one_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    found = []
    for info in archive.infolist():
        name = PureWindowsPath(info.filename)  # knows both separators, and drives
        if name.anchor or ".." in name.parts:
            raise InputError(f"{path}: expected members inside the archive, got {info.filename!r}; do not trust it")
        is_hidden = name.name.startswith(".") or name.parts[:1] == ("__MACOSX",)
        if name.suffix in (".json", ".jsonl") and not is_hidden and not info.is_dir():
            found.append(info)
    if len(found) != 1:
        names = ", ".join(repr(info.filename) for info in found) or "none"
        raise InputError(f"{path}: expected one member named .json or .jsonl, got {names:.200}; pack one file")
    if found[0].flag_bits & 1:
        raise InputError(f"{path}: expected an archive without a password, got {found[0].filename!r} encrypted")
    return found[0]


def _array(file: Any, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        content = json.loads(file.read().decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: expected JSON, got {error.msg}") from None
    for position, row in enumerate(content):
        if not isinstance(row, dict):
            raise InputError(f"{path}: {position}: expected a JSON object, got {type(row).__name__}")
        yield f"{path}: {position}", cast(dict[str, Any], row)


def _lines(file: Any, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise InputError(f"{path}:{number}: expected lines of at most {MAX_LINE_BYTES} bytes, got more")
        if text := line.removeprefix(BOM).strip():
            yield f"{path}:{number}", parse_object(text.decode(), f"{path}:{number}")
