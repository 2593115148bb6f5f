"""What the report's page shows, as one object that is JSON; `retune.report.page` lays it out."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from retune.comparison.details import Details
from retune.comparison.lineage import Run
from retune.comparison.paths import Inputs
from retune.comparison.result import Conclusion
from retune.core.errors import InputError

AS_THEY_ARE = ("model", "dataset", "is_home", "base", "score", "score_low", "score_high", "queries")
OF_A_RUN = ("change", "low", "high", "mde", "word", "reason", "better", "worse")
NOT_FIGURES = ("score_distribution", "suspects")  # of the mining audit: drawn, or ids alone


def page_content(found: Conclusion, inputs: Inputs) -> dict[str, Any]:
    """Return all of the page, from what a comparison found and what the stages before it measured.

    Args:
        found: The comparison.
        inputs: Where length distributions and mining audits lie.

    Raises:
        InputError: A length distribution or a mining audit is missing.
    """
    params = found.comparison.params
    audits = _audits(inputs.mined, found.comparison.runs)
    return {
        "title": f"Verdict by {params.metric}",
        "metric": params.metric,
        "margin": params.margin,
        "confidence": params.confidence,
        "verdict": [
            {"run": run.run, "base": run.base, "home": run.home, "word": run.word, "sentence": run.sentence}
            | {"gate": run.gate, "failures": run.failures, "gain_kept": run.gain_kept}
            | {"backward_transfer": run.backward_transfer}
            for run in found.runs
        ],
        "cells": [_cell(asdict(cell)) for cell in found.comparison.cells],
        "frontier": [
            {"model": run.run, "base": run.base, "gain": run.gain}
            | {"forgetting_worst": run.forgetting_worst, "forgetting_mean": run.forgetting_mean}
            for run in found.runs
        ],
        "curves": found.curves,
        "lengths": [row for table in found.tables for row in _lengths(inputs.lengths, table.dataset)],
        "mining": [
            {"recipe": recipe, **row} for recipe, audit in audits.items() for row in audit["score_distribution"]
        ],
        "audit": [
            {"recipe": recipe, "figure": figure, "value": value}
            for recipe, audit in audits.items()
            for figure, value in _figures({key: audit[key] for key in audit if key not in NOT_FIGURES})
        ],
        "pair_scores": [
            {"model": model, "dataset": dataset, **row}
            for (model, dataset), content in found.pair_scores.items()
            for row in content["histogram"]
        ],
        "slices": [asdict(change) for change in found.details.slices],
        "references": [
            {"dataset": each.dataset, "name": each.name, "metric": metric, "value": value}
            for each in params.references
            for metric, value in each.values.items()
        ],
        "changes": _changes(found.details),
    }


def _cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {key: cell[key] for key in (*AS_THEY_ARE, *OF_A_RUN)} | {"p": cell["p_holm"]}


def _lengths(folder: Path, dataset: str) -> list[dict[str, Any]]:
    path = folder / f"{dataset}.tsv"
    if not path.is_file():
        raise InputError(f"{path}: expected lengths of {dataset}, found none; run dvc repro convert@{dataset}")
    columns = ["percentile", "document_characters", "query_characters"]
    rows = pd.read_csv(path, sep="\t")[columns].itertuples(index=False)
    return [{"dataset": dataset} | dict(zip(columns, map(int, row), strict=True)) for row in rows]


def _audits(folder: Path, runs: Mapping[str, Run]) -> dict[str, Any]:
    """Read the audits of all mined sets that the runs were trained on, in the order of the runs."""
    audits = {}
    for name in dict.fromkeys(name for run in runs.values() for name in run.mined):
        path = folder / f"{name}.json"
        if not path.is_file():
            raise InputError(f"{path}: expected the audit of {name}, found none; run dvc repro mine mix")
        audits[name] = json.loads(path.read_text(encoding="utf-8"))
    return audits


def _figures(audit: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every number of nested audits, its keys joined to words."""
    for key, value in audit.items():
        name = f"{before} {key.replace('_', ' ')}".strip()
        if isinstance(value, Mapping):
            yield from _figures(value, name)
        elif value is not None:
            yield name, value


def _changes(details: Details) -> dict[str, Any]:
    """Return the changed queries; texts of documents are given once, and named by their position."""
    positions: dict[str, int] = {}

    def position(dataset: str, doc_id: str) -> int:
        return positions.setdefault(details.document_texts[dataset, doc_id], len(positions))

    rows = []
    for change in details.changes:
        wanted = [[position(change.dataset, each.doc_id), each.base_rank, each.rank] for each in change.wanted]
        found = None if change.found is None else [position(change.dataset, change.found), change.is_relevant]
        name = {"model": change.model, "dataset": change.dataset, "query_id": change.query_id}
        query = {"query": details.query_texts[change.dataset, change.query_id], "relevant": change.num_relevant}
        scores = {"base_score": change.base_score, "score": change.score, "change": change.change}
        rows.append(name | query | scores | {"wanted": wanted, "found": found})
    return {"documents": list(positions), "rows": rows, "left_out": details.num_changed - len(rows)}
