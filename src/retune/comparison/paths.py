"""The folders that a comparison reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class InputFolders:
    """Folders that earlier stages wrote, and one that the user fills.

    Attributes:
        scores: `<model>/<dataset>.parquet`, the scores of each query.
        run_files: `<model>/<dataset>.trec`, the ranked output.
        pair_scores: `<model>/<dataset>.json`, the cosines of relevant and of random pairs.
        datasets: `<dataset>/`, the texts and judgments.
        train: `<model>.tsv`, the training histories.
        mined: `<recipe>.json`, the mining audits.
        merges: `<model>.json`, what each weight of a merged model does.
        exports: `<model>.json`, the size of an export and its cosines with its model.
        lengths: `<dataset>.tsv`, the lengths of the texts.
        slices: `<dataset>.csv`, the user's classes of queries.
    """

    scores: Path
    run_files: Path
    pair_scores: Path
    datasets: Path
    train: Path
    mined: Path
    merges: Path
    exports: Path
    lengths: Path
    slices: Path

    @classmethod
    def under(cls, data: Path, metrics: Path) -> Self:
        """Return the folders inside `data` and `metrics`."""
        return cls(
            scores=data / "scores",
            run_files=data / "runs",
            pair_scores=metrics / "pair_scores",
            datasets=data / "datasets",
            train=metrics / "train",
            mined=metrics / "mined",
            merges=metrics / "merge",
            exports=metrics / "export",
            lengths=metrics / "lengths",
            slices=data / "slices",
        )
