"""What may be published of a model: files that run no code, made from data and models whose licences are known."""

from collections.abc import Iterator
from pathlib import Path

from retune.core.errors import InputError
from retune.core.provenance import FILE, Origin, read_origins
from retune.models.card import CARD
from retune.models.directory import ONNX, is_onnx
from retune.models.scope import QUERY_MODEL, SCOPE, VECTORS, read_scope

KINDS = {".safetensors", ".json", ".txt", ".model", ".jinja", ".md"}  # weights, settings, tokenizers, cards
DOCUMENTS, QUERIES = "documents", "queries"  # where the two sides of a query tower are published
NOT_STATED = {"", "none", "not stated", "unknown"}


def published_files(folder: Path) -> dict[Path, Path]:
    """Return the files of a model directory to publish, by their paths in the published folder.

    The base and the query model of a query tower get a folder each, so that nobody loads the base for the whole.

    Raises:
        InputError: There are no weights, the model has no weights of its own, or a file is of a kind that may run code
            or that only retune reads.
    """
    if read_scope(folder) is None:
        return {path.relative_to(folder): path for path in _model_files(folder)}
    if (folder / SCOPE / VECTORS).is_file():
        raise InputError(
            f"{folder}: expected a model with weights of its own, got its base with moved document vectors, which fit "
            f"no other corpus; publish the base, and store {SCOPE}/{VECTORS} in the index of your documents"
        )
    query_model = folder / SCOPE / QUERY_MODEL
    common = {folder / name for name in (CARD, FILE) if (folder / name).is_file()}
    documents = (path for path in _model_files(folder) if folder / SCOPE not in path.parents and path not in common)
    files = {DOCUMENTS / path.relative_to(folder): path for path in documents}
    files |= {QUERIES / path.relative_to(query_model): path for path in _model_files(query_model)}
    return files | {path.relative_to(folder): path for path in common}


def _model_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a directory that has weights."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not (is_onnx(folder) or any(file.suffix == ".safetensors" for file in files)):
        raise InputError(f"{folder}: expected a model with safetensors, found none; run dvc repro or dvc pull")
    onnx = {folder / ONNX, folder / f"{ONNX}.data"}  # the latter has weights that are too large for the former
    for file in files:
        if file.suffix not in KINDS and file not in onnx:
            raise InputError(
                f"{file}: expected only files with the endings {', '.join(sorted(KINDS))}, which run no code, got "
                "another kind; move it elsewhere"
            )
        yield file


def licensed_origins(folder: Path) -> list[Origin]:
    """Return the data and models that a model was made from.

    Raises:
        InputError: A licence is not stated, or does not allow training.
    """
    origins = read_origins(folder)
    if unknown := [f"{origin.kind} {origin.name!r}" for origin in origins if _is_unknown(origin)]:
        raise InputError(
            f"{folder}: expected a licence of everything the model was made from, got none of {', '.join(unknown)}; "
            "state it (convert.<name>.licence, or the card of the base) and run dvc repro"
        )
    if forbidden := [origin.name for origin in origins if origin.use == "training_against_licence"]:
        raise InputError(
            f"{folder}: expected data that may be trained on, got {', '.join(forbidden)} with use: "
            "training_against_licence; a model trained on it stays here"
        )
    return origins


def _is_unknown(origin: Origin) -> bool:
    return origin.licence.strip().lower() in NOT_STATED and origin.kind != "synthetic queries"
