"""Bring a user's data to where the pipeline reads it, and let DVC version it."""

import filecmp
import shutil
import subprocess
from pathlib import Path

from retune.core.errors import InputError
from retune.core.files import atomic_directory, atomic_file
from retune.core.tracked import require_pulled
from retune.starting.source import Source


def place_of(source: Source, name: str, folder: Path) -> Path:
    """Return where the data belongs; a file keeps its suffixes, by which readers know its type.

    Raises:
        InputError: Other data is there.
    """
    suffix = "" if source.is_folder else "".join(_suffixes(source.path)).lower()
    place = folder / f"{name}{suffix}"
    require_pulled(place)
    if place.exists() and not _is_same(source, place):
        raise InputError(
            f"{place}: expected nothing or the same data as {source.path}, found other data; nothing is changed: add "
            "NAME=name, or remove it"
        )
    return place


def bring(source: Source, place: Path) -> bool:
    """Copy the visible files to a place, all or none; return whether that was needed.

    Raises:
        InputError: A file cannot be read or written.
    """
    if place.exists():
        return False
    try:
        _copy(source, place)
    except OSError as error:
        file = error.filename or source.path
        raise InputError(f"{place}: expected a copy of {source.path}, got: {file}: {error.strerror}") from None
    return True


def _copy(source: Source, place: Path) -> None:
    if not source.is_folder:
        with atomic_file(place) as partial:
            shutil.copyfile(source.path, partial)
        return
    with atomic_directory(place) as partial:
        for name, file in source.files.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, partial / name)


def track(place: Path) -> str:
    """Run `dvc add` on a place; return what DVC said if it failed."""
    if shutil.which("dvc") is None:
        return "there is no command dvc"
    done = subprocess.run(["dvc", "add", "-q", str(place)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else " ".join((done.stderr or done.stdout).split()) or "no reason given"


def _suffixes(path: Path) -> list[str]:
    """Return the last suffix, and .gz with the one before it."""
    return path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]


def _is_same(source: Source, place: Path) -> bool:
    """Return whether a place has the same files with the same content."""
    if source.path.resolve() == place.resolve():
        return True
    if source.is_folder != place.is_dir():
        return False
    files = Source(place).files
    if not source.is_folder:
        return filecmp.cmp(source.path, place, shallow=False)
    return files.keys() == source.files.keys() and all(
        filecmp.cmp(file, files[name], shallow=False) for name, file in source.files.items()
    )
