"""The directory of a system of two models: system.json, and the directory of each model under its name."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from retune.core.errors import InputError
from retune.core.files import atomic_directory, write_json
from retune.core.provenance import read_origins, write_origins
from retune.models.directory import SYSTEM, check_kind, is_lexical, is_system, read_encoding, read_json
from retune.params.fuse import Fuse
from retune.params.rerank import Rerank

System = Rerank | Fuse
KINDS: Mapping[str, type[System]] = MappingProxyType({"rerank": Rerank, "fuse": Fuse})


def write_rerank(entry: Rerank, first_stage: Path, reranker: Path, out: Path) -> None:
    """Write the directory of a first stage and a reranker.

    Args:
        entry: The names of the two, and k.
        first_stage: The directory of an embedding model, of BM25 or of a system.
        reranker: The directory of a cross-encoder.
        out: The directory to write.

    Raises:
        InputError: One of them is a model of another kind.
    """
    _check_ranker(first_stage)
    check_kind(reranker, is_pair_scorer=True)
    read_encoding(reranker)
    _write(entry, [first_stage, reranker], out)


def write_fuse(entry: Fuse, first: Path, second: Path, out: Path) -> None:
    """Write the directory of two models whose rankings are fused.

    Args:
        entry: The names of the two, and how they are fused.
        first: The directory of an embedding model, of BM25 or of a system.
        second: The directory of another.
        out: The directory to write.

    Raises:
        InputError: One of them is a cross-encoder, or no model.
    """
    for folder in (first, second):
        _check_ranker(folder)
    _write(entry, [first, second], out)


def read_system(folder: Path) -> System:
    """Return the entry that a system was made from.

    Raises:
        InputError: Its system.json is not as the stages `rerank` and `fuse` write it.
    """
    path = folder / SYSTEM
    content = read_json(path)
    try:
        [(kind, entry)] = content.items()
        return KINDS[kind].model_validate(entry)
    except (ValueError, KeyError) as error:  # pydantic's error is a ValueError
        reason = " ".join(str(error).splitlines()[:3])
        raise InputError(f"{path}: expected a system, got: {reason}; run the stage that writes it again") from None


def part_folders(folder: Path) -> list[Path]:
    """Return the directories of the two models of a system."""
    return [folder / name for name in read_system(folder).parts]


def _check_ranker(folder: Path) -> None:
    """Check that a folder holds what can rank a corpus: an embedding model, BM25 or a system."""
    if not (is_lexical(folder) or is_system(folder)):
        read_encoding(folder)
        check_kind(folder, is_pair_scorer=False)


def _write(entry: System, folders: Sequence[Path], out: Path) -> None:
    kind = next(kind for kind, section in KINDS.items() if isinstance(entry, section))
    with atomic_directory(out) as partial:
        for name, folder in zip(entry.parts, folders, strict=True):
            shutil.copytree(folder, partial / name)
        write_json(partial / SYSTEM, {kind: entry.model_dump(mode="json")})
        with_origins = [folder for folder in folders if not is_lexical(folder)]
        write_origins(partial, [origin for folder in with_origins for origin in read_origins(folder)])
