"""Section `predict.<name>`: retrieval for queries without judgments."""

from typing import Literal

from pydantic import PositiveInt

from retune.core.section import Name, RawPath, Section


class Predict(Section):
    """One file of queries, and the model and corpus to retrieve with."""

    model: Name
    dataset: Name  # whose corpus is searched
    queries: RawPath
    # eedi: Kaggle's test.csv; eedi_unlabelled: what train.csv leaves unlabelled; queries: ids and texts
    layout: Literal["eedi", "eedi_unlabelled", "queries"]
    prompt: str | None = None  # put before every query, and before the model's prefix
    k: PositiveInt  # documents per query
    pseudo_labels: bool = False  # also write a data set in which the documents found are the relevant ones
