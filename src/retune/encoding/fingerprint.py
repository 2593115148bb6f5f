"""One hash of everything that determines the bits of a model's vectors: the key of the embedding cache."""

import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from retune.core.errors import InputError
from retune.core.files import json_hash, sha256
from retune.encoding.hardware import processor_name
from retune.encoding.onnx_transformer import RUNTIME, check_installed
from retune.models.directory import SETTINGS, is_onnx
from retune.models.encoding_settings import Encoding, Role
from retune.models.endpoint import is_endpoint, vectors_of_endpoint
from retune.models.scope import SCOPE

CARDS = {"README.md", "model-card.md", "provenance.json"}
LIBRARIES = ("transformers", "tokenizers", "sentence-transformers")
PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class ModelFiles:
    """The hash of a model directory's files.

    Attributes:
        name: The directory's name, shown to people.
        sha256: One hash of all its files: weights, tokenizer and configuration.
        engine: The version of ONNX Runtime if it runs the model; empty if torch does.
    """

    name: str
    sha256: str
    engine: str = ""

    @classmethod
    def of(cls, folder: Path) -> "ModelFiles":
        """Hash the files that decide a model's vectors.

        These are all but its cards, what it adds for one data set, and retune.json, whose values `fingerprint` hashes
        one by one. Of an endpoint, they are what decides its vectors: not its limits and keys.
        """
        if is_endpoint(folder):
            return cls(folder.resolve().name, json_hash(vectors_of_endpoint(folder)))
        added = folder / SCOPE
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and added not in path.parents)
        hashes = {path.relative_to(folder).as_posix(): sha256(path) for path in paths if path.name not in CARDS}
        hashes.pop(SETTINGS, None)
        return cls(folder.resolve().name, json_hash(hashes), _runtime() if is_onnx(folder) else "")

    def check(self, folder: Path) -> None:
        """Refuse a directory that has changed since: its vectors would be cached under the old files' hash."""
        if ModelFiles.of(folder).sha256 != self.sha256:
            raise InputError(
                f"{folder}: expected the files that were there when the stage started, got changed ones; "
                "run the stage again"
            )


def base_hash(folder: Path) -> str:
    """Return a hash of all that decides a model's vectors on one machine: its files and its encoding settings."""
    return json_hash([ModelFiles.of(folder).sha256, sha256(folder / SETTINGS)])


def fingerprint(
    files: ModelFiles, encoding: Encoding, role: Role, *, dtype: torch.dtype, device: torch.device, token_budget: int
) -> str:
    """Return 64 hexadecimal digits that differ whenever the vectors could differ.

    Args:
        files: The model.
        encoding: Its encoding settings.
        role: Whether queries or documents are encoded.
        dtype: The number format it computes in.
        device: The device it runs on; on a CPU, the processor and the number of threads are hashed too.
        token_budget: The most tokens in a batch.
    """
    is_query = role == "queries"
    return json_hash(
        {
            "files": files.sha256,
            "role": role,
            "prefix": encoding.query_prefix if is_query else encoding.document_prefix,
            "suffix": encoding.query_suffix if is_query else "",
            "max_length": encoding.query_max_length if is_query else encoding.document_max_length,
            "pooling": encoding.pooling,
            "dtype": str(dtype),
            "machine": machine(device),
            "token_budget": token_budget,
            "engine": files.engine,
            "encoder": [sha256(path) for path in sorted(PACKAGE.glob("*.py"))],
        }
    )


def _runtime() -> str:
    check_installed([RUNTIME])
    return f"{RUNTIME} {importlib.metadata.version(RUNTIME)}"


def machine(device: torch.device) -> list[object]:
    """Return the versions of the libraries and a description of the device, down to its instruction sets."""
    versions = [importlib.metadata.version(library) for library in LIBRARIES]  # importing them takes seconds
    return [torch.__version__, *versions, *_device(device)]


def _device(device: torch.device) -> list[object]:
    if device.type == "cuda":
        return ["cuda", torch.cuda.get_device_name(device), torch.version.cuda]
    if device.type == "cpu":
        capability = torch.backends.cpu.get_cpu_capability()
        return ["cpu", capability, torch.cpu._is_amx_tile_supported(), processor_name(), torch.get_num_threads()]
    return [device.type, platform.processor()]
