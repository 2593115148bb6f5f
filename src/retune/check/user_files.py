"""Check that the files a user provides are there: raw data, queries to predict for, lists of excluded documents."""

from pathlib import Path

from retune.check.model_kinds import wrong_kinds_of_files
from retune.check.predictions import is_predicted
from retune.check.project import Project
from retune.core.errors import InputError
from retune.core.tracked import finding, not_pulled


def check_files(project: Project, excluded: Path, slices: Path) -> None:
    """Check the paths in params.yaml, and the files in the folders `excluded` and `slices`.

    Raises:
        InputError: One line for each path that is missing or empty, each file that was not pulled, each list whose data
            set is not evaluated, and each use of a model of the wrong kind.
    """
    paths = {f"convert.{name}.raw": entry.raw for name, entry in project.convert.items()}
    paths |= {f"fetch.{name}.path": entry.path for name, entry in project.fetch.items() if entry.path}
    paths |= {f"predict.{name}.queries": entry.queries for name, entry in project.predict.items()}
    paths = {key: path for key, path in paths.items() if not is_predicted(path)}  # a stage writes these
    findings = [
        f"params.yaml: {key}: expected data at {path}, found {found}; put it there"
        for key, path in paths.items()
        if not not_pulled(Path(path)) and (found := _fault(Path(path)))
    ]
    folders = [Path(path) for path in dict.fromkeys(paths.values())] + [excluded, slices]
    findings += [finding(file) for folder in folders for file in not_pulled(folder)]
    findings += [
        f"{path}: expected the name of a data set under eval.datasets, got {path.stem!r}; rename or remove it"
        for path in sorted(excluded.glob("*.csv"))
        if path.stem not in project.eval.datasets
    ]
    findings += [f"params.yaml: {line}" for line in wrong_kinds_of_files(project)]
    if findings:
        raise InputError("\n".join(findings))


def _fault(raw: Path) -> str:
    """Return what is found instead of data, or an empty string if there is data."""
    if not raw.exists():
        return "nothing"
    is_empty = not any(raw.iterdir()) if raw.is_dir() else raw.stat().st_size == 0
    return ("an empty folder" if raw.is_dir() else "an empty file") if is_empty else ""
