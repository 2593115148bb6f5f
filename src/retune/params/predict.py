"""Section `predict.<name>`: retrieval for queries without judgments."""

from typing import Literal

from pydantic import PositiveInt

from retune.core.section import Name, RawPath, Section


class Predict(Section):
    """One file of queries, and the model and corpus to retrieve with."""

    model: Name
    dataset: Name  # whose corpus is searched
    queries: RawPath
    layout: Literal["eedi", "queries"]  # eedi: Kaggle's test.csv; queries: ids and texts
    prompt: str | None = None  # put before every query, and before the model's prefix
    k: PositiveInt  # documents per query
