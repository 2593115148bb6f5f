"""The content of the page as one JSON object; `retune.report.page` lays it out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from retune.comparison.details import Details
from retune.comparison.lineage import TunedModel
from retune.comparison.paths import InputFolders
from retune.comparison.result import Conclusion
from retune.comparison.synthetic_sets import SyntheticSet
from retune.comparison.verdict import Measurement
from retune.core.errors import InputError
from retune.doctor.finding import Finding
from retune.report.synthetic_tables import asked, kinds, reasons, summary

OF_A_MODEL = ("model", "dataset", "is_home", "base", "score", "score_low", "score_high", "queries")
OF_A_CHANGE = ("change", "low", "high", "mde", "word", "reason", "better", "worse")
NOT_FIGURES = ("score_distribution", "suspects")  # parts of a mining audit that are drawn, or that are ids


def page_content(found: Conclusion, inputs: InputFolders, findings: Sequence[Finding] = ()) -> dict[str, Any]:
    """Return everything the page shows, from the results of a comparison and those of earlier stages.

    Args:
        found: The results of the comparison.
        inputs: The folders with length distributions and mining audits.
        findings: What the doctor found.

    Raises:
        InputError: A length distribution or a mining audit is missing.
    """
    params, test_sets = found.comparison.params, found.comparison.test_sets
    audits = _audits(inputs.mined, found.comparison.tuned_models)
    return {
        "title": f"Verdict by {params.metric}",
        "metric": params.metric,
        "margin": params.margin,
        "confidence": params.confidence,
        "tuned_models": [
            asdict(verdict)
            | {"home": test_sets[verdict.home], "worst_change_elsewhere": verdict.worst_change_elsewhere}
            for verdict in found.verdicts
        ],
        "measurements": [_measurement(measurement) for measurement in found.comparison.measurements],
        "findings": [asdict(finding) for finding in findings],
        "histories": found.histories,
        "merges": [
            {"model": model, "margin": curve["margin"], "chosen": curve["weight"], **row}
            for model, curve in found.merge_curves.items()
            for row in curve["curve"]
        ],
        "lengths": [row for name in test_sets for row in _lengths(inputs.lengths, name, test_sets[name])],
        "mining": [
            {"recipe": recipe, **row} for recipe, audit in audits.items() for row in audit["score_distribution"]
        ],
        "audit": [
            {"recipe": recipe, "figure": figure, "value": value}
            for recipe, audit in audits.items()
            for figure, value in _figures({key: audit[key] for key in audit if key not in NOT_FIGURES})
        ],
        "pair_scores": [
            {"model": model, "dataset": test_sets[dataset], **row}
            for (model, dataset), content in found.pair_scores.items()
            for row in content["histogram"]
        ],
        "slices": [asdict(change) | {"dataset": test_sets[change.dataset]} for change in found.details.slices],
        "references": [
            {"dataset": test_sets[reference.dataset], "name": reference.name, "metric": metric, "value": value}
            for reference in params.references
            for metric, value in reference.values.items()
        ],
        "changes": _changes(found.details, test_sets),
        "synthetic": [_synthetic(synthetic) for synthetic in found.synthetic_sets],
    }


def _measurement(measurement: Measurement) -> dict[str, Any]:
    values = asdict(measurement)
    shown = {key: values[key] for key in (*OF_A_MODEL, *OF_A_CHANGE)}
    return shown | {"dataset": measurement.test_set, "p": measurement.p_holm}


def _lengths(folder: Path, dataset: str, shown: str) -> list[dict[str, Any]]:
    path = folder / f"{dataset}.tsv"
    if not path.is_file():
        raise InputError(f"{path}: expected the lengths of {dataset}, found none; run dvc repro convert synthesize")
    columns = ["percentile", "document_characters", "query_characters"]
    rows = pd.read_csv(path, sep="\t")[columns].itertuples(index=False)
    return [{"dataset": shown} | dict(zip(columns, map(int, row), strict=True)) for row in rows]


def _audits(folder: Path, tuned_models: Mapping[str, TunedModel]) -> dict[str, Any]:
    """Read the audits of all mined sets that the tuned models were trained on, in the order of the models."""
    audits = {}
    for name in dict.fromkeys(name for tuned in tuned_models.values() for name in tuned.mined):
        path = folder / f"{name}.json"
        if not path.is_file():
            raise InputError(f"{path}: expected the audit of {name}, found none; run dvc repro mine mix")
        audits[name] = json.loads(path.read_text(encoding="utf-8"))
    return audits


def _figures(audit: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every number of a nested audit, named by all keys that lead to it."""
    for key, value in audit.items():
        name = f"{before} {key.replace('_', ' ')}".strip()
        if isinstance(value, Mapping):
            yield from _figures(value, name)
        elif value is not None:
            yield name, value


def _changes(details: Details, test_sets: Mapping[str, str]) -> dict[str, Any]:
    """Return the changed queries. The text of each document is given once, and named by its position."""
    positions: dict[str, int] = {}

    def position(dataset: str, doc_id: str) -> int:
        return positions.setdefault(details.document_texts[dataset, doc_id], len(positions))

    rows = []
    for change in details.changes:
        wanted = [
            [position(change.dataset, document.doc_id), document.base_rank, document.rank] for document in change.wanted
        ]
        found = None if change.found is None else [position(change.dataset, change.found), change.is_relevant]
        name = {"model": change.model, "dataset": test_sets[change.dataset], "query_id": change.query_id}
        query = {"query": details.query_texts[change.dataset, change.query_id], "relevant": change.num_relevant}
        scores = {"base_score": change.base_score, "score": change.score, "change": change.change}
        rows.append(name | query | scores | {"wanted": wanted, "found": found})
    return {"documents": list(positions), "rows": rows, "left_out": details.num_changed - len(rows)}


def _synthetic(synthetic: SyntheticSet) -> dict[str, Any]:
    """Return the figures of a synthetic data set, and samples of its queries with their documents."""
    return {
        "name": synthetic.name,
        "summary": summary(synthetic),
        "kinds": kinds(synthetic.audit),
        "reasons": reasons(synthetic.audit),
        "asked": asked(synthetic.audit),
        "kept": [sample for sample in synthetic.samples if not sample["reason"]],
        "rejected": [sample for sample in synthetic.samples if sample["reason"]],
    }
