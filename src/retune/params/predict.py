"""Section `predict.<name>`: what is retrieved for queries without judgments."""

from typing import Literal

from pydantic import PositiveInt

from retune.core.section import Name, RawPath, Section


class Predict(Section):
    """One file of queries, a model, and the corpus it searches."""

    model: Name
    dataset: Name  # whose corpus is ranked
    queries: RawPath
    layout: Literal["eedi", "queries"]  # eedi: Kaggle's test.csv; queries: ids and texts
    prompt: str | None = None  # put before every query, and before the model's own prefix
    k: PositiveInt  # documents of a query
