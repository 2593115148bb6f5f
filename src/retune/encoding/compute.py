"""Section `compute`: where vectors are computed and kept, shared by every stage that encodes or trains."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from retune.core.section import Section

MIN_TOKEN_BUDGET = 512  # below it a vector's bits depend on its place in the batch


class Cache(Section):
    """Where vectors are kept for the next stage, run or checkout."""

    folder: Annotated[str, Field(min_length=1)]  # ~ is the user's home
    max_gb: PositiveFloat  # of all models together; the least recently used go first


class Compute(Section):
    """Hardware choices. Results differ in their last bits between devices and token budgets."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    token_budget: Annotated[int, Field(ge=MIN_TOKEN_BUDGET)]  # tokens in one batch
    cache: Cache | None  # null: every text is encoded anew
