"""Section `compute`: the hardware used by every stage that encodes or trains."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from retune.core.local_settings import read_local_settings
from retune.core.section import Section

MIN_TOKEN_BUDGET = 512  # below it a vector's bits depend on its place in the batch


class Cache(Section):
    """Where vectors are stored for other stages, experiments and checkouts."""

    folder: Path
    max_gb: float  # for all models together; the least recently used are deleted first


class Compute(Section):
    """Hardware choices. Results differ in their last bits between devices and token budgets."""

    RENAMED = {"cache": "set RETUNE_CACHE (a folder; empty for no cache) and RETUNE_CACHE_GB in the environment"}

    device: Literal["auto", "cpu", "cuda", "mps"]
    engine: Literal["local", "ray"] = "local"  # ray: many texts are encoded by the actors of a Ray cluster
    token_budget: Annotated[int, Field(ge=MIN_TOKEN_BUDGET)]  # tokens in one batch
    cache: Cache | None = None  # not a parameter: `read` takes it from the environment

    @classmethod
    def read(cls, key: str) -> Self:
        """Return the section, with the embedding cache that the environment names."""
        local = read_local_settings()
        cache = Cache(folder=local.cache, max_gb=local.cache_gb) if local.cache else None
        return super().read(key).model_copy(update={"cache": cache})
