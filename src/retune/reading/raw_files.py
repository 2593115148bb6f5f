"""Find the files of `raw` that are read, and the split of each."""

import re
from collections.abc import Iterable
from pathlib import Path

from retune.core.errors import InputError
from retune.core.records import SPLITS

SPLIT_NAMES = {"train": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "test": "test"}
"""Names that sources give to the splits, in lower case; their case is ignored."""

SPLIT_FILE = re.compile(rf"({'|'.join(SPLIT_NAMES)})(?:-\d+-of-(\d+))?[-.]", re.IGNORECASE)
"""Start of the name of a split's file: train.csv, train-v1.1.json or a part such as train-00000-of-00002.parquet."""


def existing_file(path: Path) -> Path:
    """Return the path if it is a non-empty file; raise an InputError otherwise."""
    if not path.is_file():
        raise InputError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'nothing'}; put it there")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: expected data, got an empty file")
    return path


def plain_or_packed(path: Path) -> Path:
    """Return the path of a file, or with .gz appended if only the compressed file exists.

    Raises:
        InputError: Both exist.
    """
    packed = path.with_name(f"{path.name}.gz")
    if packed.is_file() and path.is_file():
        raise InputError(f"{path}: expected one file, found {packed.name} too; remove one of them")
    return packed if packed.is_file() else path


def one_file(raw: Path, *suffixes: str) -> Path:
    """Return `raw` if it is a file, else the only file in it with one of the suffixes."""
    if not raw.is_dir():
        return existing_file(raw)
    found = files_in(raw, *suffixes)
    if len(found) != 1:
        raise InputError(f"{raw}: expected one file ({', '.join(suffixes)}), found {len(found)}; name it in raw")
    return existing_file(found[0])


def files_in(raw: Path, *suffixes: str) -> list[Path]:
    """Return the visible files below `raw` with a suffix, perhaps before .gz, sorted; `raw` itself if it is a file."""
    if raw.is_file():
        return [raw]
    found = [path for path in raw.rglob("*") if path.is_file() and path.name.removesuffix(".gz").endswith(suffixes)]
    visible = [path for path in found if not any(part.startswith(".") for part in path.relative_to(raw).parts)]
    return sorted(visible, key=lambda path: path.relative_to(raw).parts)


def split_named(value: object) -> str | None:
    """Return the split that a source's name for it means, such as dev for "validation"; None if it means none."""
    return SPLIT_NAMES.get(value.lower()) if isinstance(value, str) else None


def split_of(path: Path) -> str | None:
    """Return the split that a file is named after, or None."""
    match = SPLIT_FILE.match(path.name)
    return split_named(match[1]) if match else None


def split_file(raw: Path, split: str, *patterns: str) -> Path | None:
    """Return the file of a split in a folder, named by a pattern such as `{split}.jsonl`, also with .gz, or None.

    Raises:
        InputError: Two files match, such as dev.jsonl and validation.jsonl.
    """
    names = [name for name, meant in SPLIT_NAMES.items() if meant == split] or [split]
    wanted = {pattern.format(split=name).lower() for pattern in patterns for name in names}
    found = (
        sorted(path for path in raw.iterdir() if path.name.lower().removesuffix(".gz") in wanted)
        if raw.is_dir()
        else []
    )
    if len(found) > 1:
        raise InputError(f"{raw}: expected one {split} file, found {', '.join(path.name for path in found)}")
    return existing_file(found[0]) if found else None


def split_files(raw: Path, *suffixes: str) -> list[tuple[str, Path]]:
    """Return the files to read and their splits, train first.

    If `raw` is a folder, they are the files in it that are named after a split, or else the only file in it, which
    is then train. If `raw` is a file, it is train.

    Raises:
        InputError: There is no file, a split has two, or some of its numbered parts are missing.
    """
    if raw.is_file():
        return [("train", raw)]
    found: dict[str, dict[Path, int]] = {split: {} for split in SPLITS}
    for path in files_in(raw, *suffixes):
        if (split := split_of(path)) and (match := SPLIT_FILE.match(path.name)):
            found[split][path] = int(match[2] or 1)
    for split, parts in found.items():
        if any(count != len(parts) for count in parts.values()):
            names = ", ".join(str(path.relative_to(raw)) for path in parts)
            raise InputError(f"{raw}: expected one {split} file or all its numbered parts, got {names:.300}")
    files = [(split, path) for split, parts in found.items() for path in parts]
    return files or [("train", one_file(raw, *suffixes))]


def num_unread(raw: Path, files: Iterable[Path], *suffixes: str) -> int:
    """Return how many files in `raw` with one of the suffixes are not among the files that are read."""
    return len(set(files_in(raw, *suffixes)) - set(files))
