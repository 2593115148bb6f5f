"""What may be published of a model: files that run no code, made from data and models whose licences are known."""

from pathlib import Path

from retune.core.errors import InputError
from retune.core.provenance import Origin, read_origins

KINDS = {".safetensors", ".json", ".txt", ".model", ".jinja", ".md"}  # weights, settings, tokenizers, cards
NOT_STATED = {"", "none", "not stated", "unknown"}


def publishable_files(folder: Path) -> list[Path]:
    """Return the files of a model directory, relative to it.

    Raises:
        InputError: There are no weights, or a file is of a kind that may run code or that only retune reads.
    """
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    if not any(file.suffix == ".safetensors" for file in files):
        raise InputError(f"{folder}: expected a model with safetensors, found none; run dvc repro or dvc pull")
    if others := [file for file in files if file.suffix not in KINDS]:
        raise InputError(
            f"{folder / others[0]}: expected only files with the endings {', '.join(sorted(KINDS))}, which run no "
            "code, got another kind; move it elsewhere"
        )
    return files


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
