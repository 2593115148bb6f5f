"""The verdict on the model to publish, from the file that `compare` wrote."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from retune.comparison.compare import Comparison
from retune.comparison.gate import read_measurements
from retune.comparison.model_verdicts import ModelVerdict
from retune.comparison.verdict import Measurement
from retune.core.errors import InputError
from retune.models.directory import is_lexical
from retune.params.compare import Compare


@dataclass(frozen=True)
class Judged:
    """A tuned model with its verdict.

    Attributes:
        folder: The directory of the model.
        verdict: The verdict on it.
        parameters: Its entry in `finetune` or `merge`, completed by the defaults.
        settings: The sections `compare` and `eval`, and the seed.
        comparison: All models on all data sets.
    """

    folder: Path
    verdict: ModelVerdict
    parameters: Mapping[str, Any]
    settings: Mapping[str, Any]
    comparison: Comparison

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.verdict.model

    @property
    def measurements(self) -> list[Measurement]:
        """The model on every data set."""
        return self.comparison.of(self.name)


def read_judged(file: Path, models: Path, name: str, *, is_forced: bool) -> Judged:
    """Return a model that may be published as far as its verdict is concerned.

    Args:
        file: The verdict.
        models: The folder of the models' directories.
        name: The name of the model.
        is_forced: Whether a model whose gate failed may be published.

    Raises:
        InputError: The model has no verdict, or its gate failed.
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
        expected = f"one of the tuned models that {file} judges ({', '.join(verdicts) or 'none'})"
        raise InputError(f"publish: expected {expected}, got {name!r}, {_reason(models, name, comparison)}")
    verdict = verdicts[name]
    if verdict.gate == "failed" and not is_forced:
        raise InputError(
            f"publish: expected a model that passes the gate, got {name!r}: {'; '.join(verdict.failures)}; "
            "FORCE=1 publishes it all the same, and the card says so"
        )
    return Judged(models / name, verdict, parameters[name], settings, comparison)


def _reason(models: Path, name: str, comparison: Comparison) -> str:
    """Return why a model has no verdict."""
    if is_lexical(models / name):
        return "which is BM25 and has no weights"
    if comparison.of(name):
        return "which was not tuned here"
    if name and (models / name).is_dir():
        return "which has no verdict; add it to eval.models and run dvc repro"
    return f"which is not in {models}"
