"""The synthetic data sets of a project: their audits, and samples of their queries."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retune.comparison.test_sets import cut
from retune.core.errors import InputError
from retune.core.records import read_table
from retune.params.synthesize import Synthesize

SHOWN = ["kind", "split", "query", "document", "reason"]


@dataclass(frozen=True)
class SyntheticSet:
    """A synthetic data set, as the reports show it.

    Attributes:
        name: Its name.
        source: The data set whose documents were used.
        writer: The language model that wrote the queries; None if they were taken from the documents.
        audit: Counts and lengths, without texts.
        samples: `kind`, `split`, `query`, `document` and `reason` of some queries, the texts cut to 400 characters. The
            reason is empty for a query that was kept.
    """

    name: str
    source: str
    writer: str | None
    audit: Mapping[str, Any]
    samples: list[dict[str, str]]


def read_synthetic_sets(datasets: Path, entries: Mapping[str, Synthesize]) -> list[SyntheticSet]:
    """Read the audits and samples of all synthetic data sets of params.yaml.

    Args:
        datasets: The folder of all data sets.
        entries: The section `synthesize`.

    Raises:
        InputError: A file is missing.
    """
    return [_read(datasets, name, params) for name, params in entries.items()]


def _read(datasets: Path, name: str, params: Synthesize) -> SyntheticSet:
    path = datasets / name / "audit.json"
    if not path.is_file():
        raise InputError(f"{path}: expected the audit of {name}, found none; run dvc repro synthesize@{name}")
    table = read_table(datasets / name / "samples.parquet")
    for column in ("query", "document"):
        table[column] = table[column].map(cut)
    rows = table[SHOWN].itertuples(index=False)
    samples = [dict(zip(SHOWN, map(str, row), strict=True)) for row in rows]
    writer = params.llm.model if params.method == "llm" and params.llm is not None else None
    return SyntheticSet(name, params.dataset, writer, json.loads(path.read_text(encoding="utf-8")), samples)
