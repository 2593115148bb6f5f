"""Read raw files: UTF-8 with or without BOM, any line end, plain, .gz or .zip; errors name file and line."""

import csv
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import IO, Any

from retune.core.errors import InputError
from retune.reading.json_text import parse_json, parse_object
from retune.reading.raw_files import existing_file

MAX_LINE_BYTES = 32 * 2**20
"""Longer lines are an error: a file without line ends would fill the memory."""

MAX_UNPACKED_BYTES = 4 * 2**30
"""A larger member of a zip file is an error, even if it is read line by line: a few MB can unpack to any size."""

MAX_WHOLE_BYTES = 2**30
"""Limit for packed content that is parsed as a whole, which takes several times its size in memory."""

BOM = b"\xef\xbb\xbf"
PACKED = (".gz", ".zip")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield the 1-based number and the text of each line that is not blank.

    Lines end at \n, and a \r before it is removed; if a file has no \n, they end at \r. A line of tabs is not blank: it
    has empty fields.

    Raises:
        InputError: The file is not UTF-8, the archive is damaged, or a line is longer than `MAX_LINE_BYTES`.
    """
    number = 0
    with errors_by_line(path, lambda: number), open_bytes(existing_file(path)) as file:
        for line in _byte_lines(file):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise InputError(f"{path}:{number}: expected lines of at most {MAX_LINE_BYTES} bytes, got more")
            text = (line.removeprefix(BOM) if number == 1 else line).rstrip(b"\r\n")
            if text.strip(b" \r"):
                yield number, text.decode()


def _byte_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file, of at most `MAX_LINE_BYTES` + 1 bytes: longer ones are cut."""
    first = file.readline(MAX_LINE_BYTES + 1)
    if first.endswith(b"\n") or b"\r" not in first:
        yield first
        yield from iter(lambda: file.readline(MAX_LINE_BYTES + 1), b"")
        return
    rest = first
    while rest:  # a file whose lines end at \r
        *lines, rest = rest.split(b"\r")
        yield from lines
        more = file.read(MAX_LINE_BYTES) if len(rest) <= MAX_LINE_BYTES else b""
        if not more:
            yield rest
            return
        rest += more


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place (`file:line`) and the JSON object of each line."""
    for number, line in read_lines(path):
        if not line.isspace():
            yield f"{path}:{number}", parse_object(line, path, number)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; a repeated key is an error."""
    with errors_by_line(path, lambda: 1), open_bytes(existing_file(path)) as file:
        content = file.read(MAX_WHOLE_BYTES + 1) if path.suffix in PACKED else file.read()
        if path.suffix in PACKED and len(content) > MAX_WHOLE_BYTES:
            raise InputError(f"{path}: expected at most {MAX_WHOLE_BYTES} bytes unpacked, got more; use JSON lines")
        text = content.removeprefix(BOM).decode()
    return parse_json(text, path)


def read_object(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file that must be an object."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


def holds_array(path: Path) -> bool:
    """Return whether the file begins with a JSON array, which the names of published files do not show."""
    with errors_by_line(path, lambda: 1), open_bytes(existing_file(path)) as file:
        start: bytes = file.peek(512)  # type: ignore[attr-defined]  # all that `open_bytes` returns has it
    return start.removeprefix(BOM).lstrip().startswith(b"[")


@contextmanager
def errors_by_line(path: Path, line: Callable[[], int]) -> Iterator[None]:
    """Turn errors of decoding or unpacking a file into an InputError that names file and line.

    Args:
        path: The file.
        line: Returns the line at which the bytes being decoded begin.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        number = line() + error.object[: error.start].count(b"\n")
        raise InputError(f"{path}:{number}: expected UTF-8, got {error.reason}; save it as UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError) as error:
        kind = "zip" if path.suffix == ".zip" else "gzip"
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}:{max(1, line())}: expected a whole {kind} file, got: {reason}; copy it again"
        ) from None
    except csv.Error as error:
        raise InputError(f"{path}:{line()}: expected CSV, got: {error}") from None


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading; a .gz is decompressed, of a .zip its only JSON file is opened."""
    match path.suffix:
        case ".gz":
            return gzip.open(path)  # type: ignore[return-value]
        case ".zip":
            with zipfile.ZipFile(path) as archive:  # stays open until its member is closed
                return archive.open(_one_member(archive, path))
        case _:
            return path.open("rb")


def _one_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    found = []
    for info in archive.infolist():
        name = PureWindowsPath(info.filename)  # understands both separators, and drives
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
    if (size := found[0].file_size) > MAX_UNPACKED_BYTES:  # zipfile never reads more than this size
        raise InputError(f"{path}: expected at most {MAX_UNPACKED_BYTES} bytes unpacked, got {size}; unpack it")
    return found[0]
