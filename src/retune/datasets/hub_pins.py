"""Raw data on the Hugging Face Hub: a pin file names the files to download and their revisions."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from retune.core.errors import InputError, ParameterError
from retune.core.section import Section
from retune.reading.raw_files import existing_file
from retune.reading.values import shown

SUFFIX = ".hub.yaml"


class Pin(Section):
    """One file of a data set on the Hub, pinned by its revision."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]  # a commit, because branches and tags can move
    file: Annotated[str, Field(min_length=1)]  # its path in the repository


@contextmanager
def local_raw(raw: Path) -> Iterator[Path]:
    """Provide `raw`, or if it is a pin file, a temporary folder with the files that it names.

    Raises:
        InputError: The pin file is invalid, or a file cannot be downloaded.
    """
    if not (raw.is_file() and raw.name.endswith(SUFFIX)):
        yield raw
        return
    pins = read_pins(raw)
    with tempfile.TemporaryDirectory(prefix=f"{raw.name}.") as folder:  # messages show this name
        for name, pin in pins.items():
            link = Path(folder, name)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(_download(pin, f"{raw}: {name}"))
        yield Path(folder)


def read_pins(path: Path) -> dict[str, Pin]:
    """Return the entries of a pin file by local file name, without downloading them.

    Raises:
        InputError: The file is not a YAML mapping, or entries are invalid; one line per finding.
    """
    try:
        content = YAML(typ="safe", pure=True).load(existing_file(path).read_text(encoding="utf-8-sig"))
    except (YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: expected YAML, got: {reason:.200}") from None
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: expected a mapping from local names to repo, revision and file, got {content!r:.80}")
    findings: list[str] = []
    pins: dict[str, Pin] = {}
    for name, value in content.items():
        if finding := _check_name(name, content):
            findings.append(f"{shown(name)}: {finding}")
        try:
            pins[name] = Pin.parse(shown(name), value)
        except ParameterError as error:
            findings += error.findings
    if findings:
        raise ParameterError(findings, file=str(path))
    return pins


def _check_name(name: object, names: dict[object, object]) -> str:
    """Return what is wrong with a local file name, or an empty string if it is valid."""
    if not isinstance(name, str) or not name.isprintable():
        return f"expected a file name, got {name!r:.80}"
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name or name == ".":
        return "expected a relative path inside the folder, such as qrels/test.tsv"
    if any(str(parent) in names for parent in path.parents):
        return "expected a file, got a path inside another entry's file"
    return ""


def _download(pin: Pin, where: str) -> Path:
    """Download a pinned file unless it is in the Hub's cache, and return its path there."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError belongs to its HTTP library
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
        XetDownloadError,
    )

    try:
        local = hf_hub_download(repo_id=pin.repo, filename=pin.file, repo_type="dataset", revision=pin.revision)
    except (HTTPError, HFValidationError, LocalEntryNotFoundError, XetDownloadError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{where}: {pin.file} of {pin.repo} at {pin.revision} could not be downloaded: {reason}"
        ) from None
    return Path(local).absolute()
