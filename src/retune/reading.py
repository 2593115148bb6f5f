"""Reading raw files: UTF-8, BOM or not, any line end, compressed or not; every error names file and line."""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from retune.errors import InputError

MAX_LINE_BYTES = 32 * 2**20
"""Longer lines are refused: a file without line ends would fill the memory."""

BOM = b"\xef\xbb\xbf"


def existing_file(path: Path) -> Path:
    """Return the path if it is a non-empty file, or raise."""
    if not path.is_file():
        raise InputError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'nothing'}; put it there")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: expected data, got an empty file")
    return path


def one_file(raw: Path, *suffixes: str) -> Path:
    """Return `raw` if it is a file, or the one file in it with one of the suffixes."""
    if not raw.is_dir():
        return existing_file(raw)
    found = files_in(raw, *suffixes)
    if len(found) != 1:
        raise InputError(f"{raw}: expected one file ({', '.join(suffixes)}), found {len(found)}; name it in raw")
    return existing_file(found[0])


def files_in(raw: Path, *suffixes: str) -> list[Path]:
    """Return the files below a folder with one of the suffixes, sorted, hidden ones left out; or `raw` if a file."""
    if raw.is_file():
        return [raw]
    found = [path for path in raw.rglob("*") if path.is_file() and path.name.endswith(suffixes)]
    visible = [path for path in found if not any(part.startswith(".") for part in path.relative_to(raw).parts)]
    return sorted(visible, key=lambda path: path.relative_to(raw).parts)


def split_file(raw: Path, split: str, *patterns: str) -> Path | None:
    """Return the file that a folder has for a split by one of the patterns such as `{split}.jsonl`, or None."""
    candidates = [raw / pattern.format(split=split) for pattern in patterns]
    return next((existing_file(path) for path in candidates if path.exists()), None)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield 1-based line numbers and non-empty lines, split on \n alone, \r stripped; .gz is decompressed.

    Raises:
        InputError: Not UTF-8, a truncated or damaged archive, or a line above `MAX_LINE_BYTES`.
    """
    number = 0
    with told_by_line(path, lambda: number), open_bytes(existing_file(path)) as file:
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise InputError(f"{path}:{number}: expected lines of at most {MAX_LINE_BYTES} bytes, got more")
            if text := (line.removeprefix(BOM) if number == 1 else line).rstrip(b"\r\n"):
                yield number, text.decode()


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place, `file:line`, and the JSON object of each line."""
    for number, line in read_lines(path):
        yield f"{path}:{number}", parse_object(line, f"{path}:{number}")


def parse_object(text: str, where: str) -> dict[str, Any]:
    """Parse text that must be one JSON object."""
    try:
        record = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "too deep a nesting"
        raise InputError(f"{where}: expected a JSON object, got {reason}") from None
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected a JSON object, got {type(record).__name__}")
    return record


def read_json(path: Path) -> Any:
    """Return a JSON file's content; a key given twice is an error."""
    try:
        return json.loads(existing_file(path).read_text(encoding="utf-8-sig"), object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: expected JSON, got {error.msg}") from None
    except KeyError as error:
        raise InputError(f"{path}: expected each key once in an object, got {error.args[0]!r} twice") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: expected UTF-8, got {error.reason}; save it as UTF-8") from None


def read_tsv(
    path: Path, columns: Sequence[str], *, header: str, tabs_in_last: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the fields of each line, quotes being ordinary characters.

    Args:
        path: The file.
        columns: Names of its columns, as the header has them.
        header: `required`, `optional` or `none`.
        tabs_in_last: Whether further tabs belong to the last column.

    Raises:
        InputError: A header is missing or stands twice, or a line has another number of fields.
    """
    for position, (number, line) in enumerate(read_lines(path)):
        fields = line.split("\t", len(columns) - 1 if tabs_in_last else -1)
        if fields == list(columns) and header != "none":
            if position:
                raise InputError(f"{path}:{number}: expected a record, got the header a second time")
            continue
        if not position and header == "required":
            raise InputError(f"{path}:{number}: expected the header {'<tab>'.join(columns)}, got {line!r:.80}")
        if len(fields) != len(columns):
            raise InputError(f"{path}:{number}: expected {len(columns)} fields separated by tabs, got {len(fields)}")
        yield f"{path}:{number}", fields


def read_qrels(path: Path) -> Iterator[tuple[str, str, str, int]]:
    """Yield place, query id, document id and relevance of judgments in 2, 3 or 4 columns.

    Two columns are `query document` (relevance 1), three `query document relevance`, four TREC's
    `query iteration document relevance`. A first line whose relevance is no number is taken for a header.
    """
    width = 0
    for position, (number, line) in enumerate(read_lines(path)):
        fields = line.split("\t") if "\t" in line else line.split()
        if not position:
            width = len(fields)
            if width in (3, 4) and _grade(fields[-1]) is None:
                continue
            if width == 2 and {fields[0].lower(), fields[1].lower()} <= {"qid", "pid", "query-id", "corpus-id"}:
                continue
        if len(fields) != width or width not in (2, 3, 4):
            expected = str(width) if width in (2, 3, 4) and position else "2, 3 or 4"
            raise InputError(f"{path}:{number}: expected {expected} fields, got {len(fields)}")
        relevance = 1 if width == 2 else _grade(fields[-1])
        if relevance is None:
            raise InputError(f"{path}:{number}: expected a whole number as relevance, got {fields[-1]!r}")
        yield f"{path}:{number}", fields[0], fields[-1 if width == 2 else -2], relevance


def text_in(row: dict[str, Any], key: str, where: str) -> str:
    """Return a row's non-empty text, such as an id to look up."""
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: {key}: expected non-empty text, got {value!r:.80}")
    return value


def texts_in(value: Any, where: str) -> list[Any]:
    """Return a list as it is, a text as a list of one, null as none."""
    if value is None:
        return []
    if isinstance(value, str | list):
        return value if isinstance(value, list) else [value]
    raise InputError(f"{where}: expected a text or a list of texts, got {value!r:.80}")


@contextmanager
def told_by_line(path: Path, line: Callable[[], int]) -> Iterator[None]:
    """Tell file and line of what is wrong with a file's bytes."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(f"{path}:{line()}: expected UTF-8, got {error.reason}; save it as UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}:{line()}: expected a whole gzip file, got: {error}; copy it again") from None
    except csv.Error as error:
        raise InputError(f"{path}:{line()}: expected CSV, got: {error}") from None


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressed if its name ends in .gz."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        keys = [key for key, _ in pairs]
        raise KeyError(next(key for key in keys if keys.count(key) > 1))
    return content


def _grade(text: str) -> int | None:
    """Read a relevance such as `1` or `1.0`."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
