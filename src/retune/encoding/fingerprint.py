"""What decides the bits of a model's vectors, as one hash: the key of the embedding cache."""

import hashlib
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sentence_transformers
import tokenizers
import torch
import transformers

from retune.core.errors import InputError
from retune.core.files import sha256
from retune.encoding.hardware import processor_name
from retune.models.directory import SETTINGS
from retune.models.encoding_settings import Encoding

CARDS = {"README.md", "model-card.md", "provenance.json"}
Role = Literal["queries", "documents"]
PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class ModelFiles:
    """A model directory as it was when it was hashed.

    Attributes:
        name: Of the directory, for people.
        sha256: Of all its files: weights, tokenizer and configuration.
    """

    name: str
    sha256: str

    @classmethod
    def of(cls, folder: Path) -> "ModelFiles":
        """Hash a directory, except its cards and retune.json, whose values `fingerprint` takes one by one."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        hashes = {path.relative_to(folder).as_posix(): sha256(path) for path in paths if path.name not in CARDS}
        hashes.pop(SETTINGS, None)
        return cls(folder.resolve().name, _hash(hashes))

    def check(self, folder: Path) -> None:
        """Refuse a directory that has changed since: its vectors would be kept as those of the files hashed."""
        if ModelFiles.of(folder).sha256 != self.sha256:
            raise InputError(f"{folder}: expected the files of the stage's start, they have changed; run it again")


def fingerprint(
    files: ModelFiles, encoding: Encoding, role: Role, *, dtype: torch.dtype, device: torch.device, token_budget: int
) -> str:
    """Return 64 hexadecimal digits that differ wherever vectors may.

    Args:
        files: The model.
        encoding: How texts enter it.
        role: What is encoded.
        dtype: Of the computation, resolved.
        device: Where it runs; on a CPU the processor and the number of threads count as well.
        token_budget: Of a batch.
    """
    is_query = role == "queries"
    return _hash(
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
            "encoder": [sha256(path) for path in sorted(PACKAGE.glob("*.py"))],
        }
    )


def machine(device: torch.device) -> list[object]:
    """Name what computes, libraries included, down to what chooses the processor's instructions."""
    versions = [module.__version__ for module in (torch, transformers, tokenizers, sentence_transformers)]
    return [*versions, *_device(device)]


def _device(device: torch.device) -> list[object]:
    if device.type == "cuda":
        return ["cuda", torch.cuda.get_device_name(device), torch.version.cuda]
    if device.type == "cpu":
        capability = torch.backends.cpu.get_cpu_capability()
        return ["cpu", capability, torch.cpu._is_amx_tile_supported(), processor_name(), torch.get_num_threads()]
    return [device.type, platform.processor()]


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
