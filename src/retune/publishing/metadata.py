"""The metadata of a card on the Hub: origins, licence, languages and scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from retune.core.provenance import Origin
from retune.models.directory import is_onnx, read_json
from retune.publishing.judged import Judged

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

TAGS = ["sentence-similarity", "feature-extraction", "information-retrieval", "retune"]
LEAST_SHARE = 0.1  # of the documents that must be in a language for the card to name it
HUB = re.compile(r"https://huggingface\.co/(?:datasets/)?([\w.-]+/[\w.-]+)")
LICENCES = {  # those of the Hub's identifiers that data sets and models mostly have
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0"),
    *("cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "gpl-3.0", "agpl-3.0", "lgpl-3.0", "mpl-2.0", "odc-by"),
}


def card_metadata(
    judged: Judged, origins: Sequence[Origin], bases: Sequence[str], languages: Sequence[str]
) -> ModelCardData:
    """Return the metadata.

    Args:
        judged: The model.
        origins: The data and models it was made from.
        bases: The names of its base, or of the models that its base was made from.
        languages: ISO 639-1 codes.
    """
    from huggingface_hub import ModelCardData

    licence = _licence(origins)
    library = "onnx" if is_onnx(judged.folder) else "sentence-transformers"  # which cannot load an ONNX file alone
    return ModelCardData(
        base_model=bases[0] if len(bases) == 1 else list(bases),
        datasets=[hub_name(origin) for origin in origins if origin.kind == "data"] or None,
        language=list(languages) or None,
        library_name=library,
        pipeline_tag="sentence-similarity",
        tags=[library, *TAGS],
        model_name=judged.name,
        eval_results=_results(judged),
        license=licence,
        license_name=None if licence in LICENCES else "that-of-its-origins",
    )


def hub_name(origin: Origin) -> str:
    """Return the repository on the Hub that a model or data set came from; if there is none, its name here."""
    found = HUB.match(origin.source)
    return found[1] if found else origin.name


def read_languages(statistics: Path) -> list[str]:
    """Return the languages of a data set's documents, most frequent first, from its file in metrics/data."""
    shares = read_json(statistics).get("corpus", {}).get("language", {})
    return sorted((code for code in shares if shares[code] >= LEAST_SHARE), key=lambda code: (-shares[code], code))


def _licence(origins: Sequence[Origin]) -> str:
    """Return the licence if all origins share one that the Hub knows; `other` sends readers to the card's table."""
    stated = {origin.licence.strip().lower() for origin in origins if origin.kind != "synthetic queries"}
    return stated.pop() if len(stated) == 1 and stated <= LICENCES else "other"


def _results(judged: Judged) -> list[EvalResult]:
    """Return the score on each data set, with its confidence interval."""
    from huggingface_hub import EvalResult

    params = judged.comparison.params
    return [
        EvalResult(
            task_type="information-retrieval",
            task_name="Information Retrieval",
            dataset_type=measurement.dataset,
            dataset_name=measurement.test_set,
            dataset_split="test",
            metric_type=params.metric,
            metric_name=params.metric,
            metric_value=measurement.score,
            metric_args=None
            if measurement.score_low is None
            else {
                "confidence": params.confidence,
                "interval": [measurement.score_low, measurement.score_high],
                "queries": measurement.queries,
            },
        )
        for measurement in judged.measurements
    ]
