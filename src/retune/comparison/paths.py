"""Where a comparison finds what it reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Inputs:
    """Folders, written by the stages before, but for the last.

    Attributes:
        scores: `<model>/<dataset>.parquet`, per query.
        run_files: `<model>/<dataset>.trec`.
        pair_scores: `<model>/<dataset>.json`.
        datasets: `<dataset>/`.
        train: `<run>.tsv`.
        mined: `<recipe>.json`.
        lengths: `<dataset>.tsv`.
        slices: `<dataset>.csv` of a user.
    """

    scores: Path
    run_files: Path
    pair_scores: Path
    datasets: Path
    train: Path
    mined: Path
    lengths: Path
    slices: Path

    @classmethod
    def under(cls, data: Path, metrics: Path) -> Self:
        """Return the folders that lie in these two."""
        return cls(
            scores=data / "scores",
            run_files=data / "runs",
            pair_scores=metrics / "pair_scores",
            datasets=data / "datasets",
            train=metrics / "train",
            mined=metrics / "mined",
            lengths=metrics / "lengths",
            slices=data / "slices",
        )
