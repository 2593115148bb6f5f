"""The scores on a data set as MTEB writes them (`TaskResult` of the package mteb)."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retune.core.errors import InputError
from retune.core.files import sha256
from retune.models.directory import read_json

REVISION_LENGTH = 40  # as of a Git commit
SCRIPTS = {  # ISO 639-3 and the script, of ISO 639-1 codes
    **{"en": "eng-Latn", "de": "deu-Latn", "fr": "fra-Latn", "es": "spa-Latn", "it": "ita-Latn", "pt": "por-Latn"},
    **{"nl": "nld-Latn", "pl": "pol-Latn", "sv": "swe-Latn", "da": "dan-Latn", "no": "nob-Latn", "fi": "fin-Latn"},
    **{"cs": "ces-Latn", "tr": "tur-Latn", "vi": "vie-Latn", "id": "ind-Latn", "ru": "rus-Cyrl", "uk": "ukr-Cyrl"},
    **{"zh": "zho-Hans", "ja": "jpn-Jpan", "ko": "kor-Hang", "ar": "ara-Arab", "fa": "fas-Arab", "hi": "hin-Deva"},
}
UNKNOWN = "und-Zyyy"  # a language that the table lacks


def task_result(scores: Path, dataset: Path, metric: str, languages: Sequence[str]) -> dict[str, Any]:
    """Return the scores of a model on a data set.

    Args:
        scores: The file of every metric that `eval` wrote.
        dataset: The folder of the data set, whose bytes are its revision.
        metric: The main score.
        languages: ISO 639-1 codes of the documents' languages.

    Raises:
        InputError: The scores or the data set are missing.
    """
    values = read_json(scores)
    if metric not in values:
        raise InputError(f"{scores}: expected {metric}, got none; run dvc repro")
    subset: Mapping[str, Any] = {
        "hf_subset": "default",
        "languages": [SCRIPTS.get(code, UNKNOWN) for code in languages],
        "main_score": values[metric],
    }
    return {
        "dataset_revision": revision(dataset),
        "task_name": dataset.name,
        "mteb_version": None,  # mteb did not compute them
        "scores": {"test": [{**subset, **values}]},
        "evaluation_time": None,
        "kg_co2_emissions": None,
    }


def revision(dataset: Path) -> str:
    """Return a hash of the documents and of the test split."""
    files = [dataset / "corpus.parquet", *(dataset / "test" / f"{name}.parquet" for name in ("queries", "qrels"))]
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: expected a Parquet file, found none; run dvc repro or dvc pull")
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()[:REVISION_LENGTH]
