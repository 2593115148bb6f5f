"""Files that DVC tracks, which a clone lacks until they are pulled."""

from pathlib import Path

from retune.core.errors import InputError


def not_pulled(path: Path) -> list[Path]:
    """Return what was added to DVC and is absent: the path itself, or files inside a folder.

    DVC does not miss a file inside a folder, so a stage that reads the folder would run without it.
    """
    records = [Path(f"{path}.dvc"), *(path.rglob("*.dvc") if path.is_dir() else ())]
    files = [record.with_suffix("") for record in records if record.is_file()]
    return sorted(file for file in files if not file.exists())


def require_pulled(path: Path) -> None:
    """Check that everything is there which was added to DVC at a path.

    Raises:
        InputError: One line for each file that is absent.
    """
    if absent := not_pulled(path):
        raise InputError("\n".join(finding(file) for file in absent))


def finding(file: Path) -> str:
    """Return the line that names a file which was not pulled."""
    return f"{file}: expected the file that {file.name}.dvc describes, found nothing; run dvc pull {file}"
