"""The source of a base model: the folder it is read from, and its licence."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from huggingface_hub import metadata_load, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from retune.core.errors import InputError
from retune.core.provenance import FILE, Origin, read_origins
from retune.fetching.checks import ADAPTER
from retune.params.fetch import Fetch

HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model", "README.md"]
"""What is downloaded: no pickles, which run code when they are read, and no code."""


def locate(params: Fetch, where: str) -> Path:
    """Return a local folder with the model, downloading it if necessary."""
    if params.package is not None:
        return package_folder(params.package, where)
    if params.source == "path":
        folder = Path(str(params.path))
        if not any((folder / name).is_file() for name in ("config.json", "modules.json", ADAPTER)):
            raise InputError(
                f"{where}.path: expected a model folder with config.json, got {params.path!r}; put the model there"
            )
        return folder
    try:
        return Path(snapshot_download(str(params.repo), revision=params.revision, allow_patterns=HUB_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{where}: {params.repo} at {params.revision} could not be downloaded: {reason}") from None


def package_folder(package: str, where: str) -> Path:
    """Return the only folder with weights in an installed package."""
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"{where}.package: expected an installed package, got {package!r}; install it with pip")
    root = Path(next(iter(spec.submodule_search_locations)))
    folders = sorted(path.parent for path in root.rglob("model.safetensors"))
    if len(folders) != 1:
        raise InputError(f"{where}.package: expected one model.safetensors in {package!r}, got {len(folders)}")
    return folders[0]


def origins(folder: Path, params: Fetch, name: str, changes: Sequence[str]) -> list[Origin]:
    """Return the model's origin, with the licence from its model card, and what was changed."""
    if (folder / FILE).is_file():
        return read_origins(folder)
    card = folder / "README.md"
    try:
        stated = (metadata_load(card) if card.is_file() else None) or {}
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{card}: expected YAML between the lines ---, got: {reason}; correct the file") from None
    hub = f"https://huggingface.co/{params.repo} at {params.revision}"
    source = {"package": params.package, "path": params.path, "hub": hub}[params.source]
    return [Origin("model", name, str(stated.get("license", "")), "; ".join([str(source), *changes]), use="")]
