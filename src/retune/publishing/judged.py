"""The verdict on the model to publish, from the file that `compare` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from retune.comparison.compare import Comparison
from retune.comparison.gate import read_measurements
from retune.comparison.model_verdicts import ModelVerdict
from retune.comparison.verdict import Measurement
from retune.core.errors import InputError
from retune.models.directory import is_cross_encoder, is_lexical
from retune.params.compare import Compare
from retune.params.finetune import Finetune
from retune.params.merge import Merge


@dataclass(frozen=True)
class Judged:
    """A tuned or merged model, or an export, with its verdict.

    Attributes:
        folder: The directory of the model.
        verdict: The verdict on it; that on an export compares it with the model that was exported.
        parameters: Its entry in `finetune`, `merge` or `export`, completed by the defaults.
        settings: The sections `compare` and `eval`, and the seed.
        comparison: All models on all data sets.
        exported: The model that was exported, with its verdict; None if this is no export, or one of a base.
        merged_from: The tuned models that it was merged from, with their entries; empty if it was not merged.
    """

    folder: Path
    verdict: ModelVerdict
    parameters: Mapping[str, Any]
    settings: Mapping[str, Any]
    comparison: Comparison
    exported: Judged | None = None
    merged_from: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.verdict.model

    @property
    def base(self) -> str:
        """The name of the model that was fetched, and then tuned, merged or exported."""
        return self.exported.base if self.exported else self.verdict.base

    @property
    def measurements(self) -> list[Measurement]:
        """The model on every data set."""
        return self.comparison.of(self.name)

    @property
    def is_export(self) -> bool:
        """Whether the model is an export of another."""
        return any(measurement.is_export for measurement in self.measurements)

    @property
    def merged_weight(self) -> float | None:
        """The weight of the tuned models, if the model was merged."""
        return self.measurements[0].merged_weight

    @property
    def all(self) -> list[Judged]:
        """The model, and the one that was exported if it is an export."""
        return [self, *(self.exported.all if self.exported else [])]


def read_judged(file: Path, models: Path, name: str, *, is_forced: bool) -> Judged:
    """Return a model that may be published as far as its verdict is concerned.

    Args:
        file: The verdict.
        models: The folder of the models' directories.
        name: The name of the model.
        is_forced: Whether a model that did not pass the gate may be published.

    Raises:
        InputError: The model has no verdict or is a system; or it, or the model that was exported, did not pass the
            gate.
    """
    measurements = read_measurements(file)
    content = json.loads(file.read_text(encoding="utf-8"))
    try:
        rows = {row["model"]: dict(row) for row in content["tuned_models"]}
        parameters = {name: row.pop("parameters") for name, row in rows.items()}
        verdicts = {name: ModelVerdict(**row) for name, row in rows.items()}
        settings = content["parameters"]
        comparison = Comparison(Compare.model_validate(settings["compare"]), {}, measurements)
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(
            f"{file}: expected a verdict of this version of compare, got another ({error!r:.80}); run dvc repro compare"
        ) from None
    if name not in verdicts:
        expected = f"one of the models that {file} judges ({', '.join(verdicts) or 'none'})"
        raise InputError(f"publish: expected {expected}, got {name!r}, {_reason(models, name, comparison)}")

    if any(measurement.is_system for measurement in comparison.of(name)):
        raise InputError(f"publish: expected one model, got {name!r}, a system of two; publish one of them")

    def find(model: str) -> Judged:
        verdict = verdicts[model]
        is_export = any(measurement.is_export for measurement in comparison.of(model))
        exported = find(verdict.base) if is_export and verdict.base in verdicts else None
        merged_from = _merged_from(parameters[model], parameters)
        return Judged(models / model, verdict, parameters[model], settings, comparison, exported, merged_from)

    judged = find(name)
    if not is_forced:
        _check_gate(judged)
    return judged


def _merged_from(
    parameters: Mapping[str, Any], judged: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return the entries of the models that a model was merged from, which need no verdict of their own."""
    found: dict[str, Mapping[str, Any]] = {}
    merges = [parameters]
    for merge in merges:
        names = [merge[key] for key in ("tuned", "tuned_2") if key in merge]
        for name in dict.fromkeys(names):
            found[name] = judged.get(name) or _entry(name)
            merges.append(found[name])  # it may be merged, too
    return found


def _entry(name: str) -> dict[str, Any]:
    """Return the entry of a tuned or merged model in params.yaml."""
    entries: dict[str, Finetune | Merge] = {**Finetune.read_entries("finetune"), **Merge.read_entries("merge")}
    if name not in entries:
        raise InputError(f"params.yaml: expected an entry of {name!r} in finetune or merge, got none; run dvc repro")
    return entries[name].model_dump(mode="json")


def _check_gate(judged: Judged) -> None:
    """Check that a model passed the gate, and the model that was exported, too."""
    for verdict in (each.verdict for each in judged.all):
        if verdict.gate != "passed":
            reason = "; ".join(verdict.failures) or "there is no gate (compare.gate is null)"
            raise InputError(
                f"publish: expected a model that passes the gate, got {verdict.model!r}: {reason}; "
                "FORCE=1 publishes it all the same, and the card says so"
            )


def _reason(models: Path, name: str, comparison: Comparison) -> str:
    """Return why a model has no verdict."""
    if is_lexical(models / name):
        return "which is BM25 and has no weights"
    if is_cross_encoder(models / name):
        return "which is a cross-encoder and has no verdict of its own"
    if comparison.of(name):
        return "which was not tuned here"
    if name and (models / name).is_dir():
        return "which has no verdict; add it to eval.models and run dvc repro"
    return f"which is not in {models}"
