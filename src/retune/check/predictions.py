"""Data sets whose raw data are the pseudo-labels that an entry under `predict` writes."""

from collections.abc import Iterator
from pathlib import Path

from retune.check.project import Project

WRITTEN = Path("data/predictions")


def wrong_predictions(project: Project) -> Iterator[str]:
    """Yield data sets that are to read pseudo-labels which no entry writes, or not as they are written."""
    able = [name for name, entry in project.predict.items() if entry.pseudo_labels]
    for name, entry in project.convert.items():
        if not is_predicted(entry.raw):
            continue
        asked, where = Path(entry.raw).relative_to(WRITTEN).as_posix(), f"convert.{name}"
        if asked not in able:
            add = f"add pseudo_labels: true to predict.{asked}" if asked in project.predict else f"add predict.{asked}"
            other = f", or name one of these: {', '.join(able)}" if able else ""
            got = f"got {entry.raw!r}; {add}{other}"
            yield f"{where}.raw: expected pseudo-labels that an entry under predict writes, {got}"
        elif entry.format != "beir":
            yield f"{where}.format: expected beir, in which pseudo-labels are written, got {entry.format}; change it"
        elif project.predict[asked].dataset == name:
            yield (
                f"predict.{asked}.dataset: expected another data set than {name!r}, as that one is made of its "
                "pseudo-labels; name another"
            )


def is_predicted(path: str) -> bool:
    """Return whether a path is in the folder that `predict` writes to."""
    return Path(path).is_relative_to(WRITTEN) and Path(path) != WRITTEN
