"""Section `compute`: where vectors are computed, shared by every stage that encodes or trains."""

from typing import Annotated, Literal

from pydantic import Field

from retune.params.section import Section


class Compute(Section):
    """Hardware choices. Results differ in their last bits between devices and token budgets."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    token_budget: Annotated[int, Field(ge=512)]  # tokens in one batch; below 512 bits depend on the batch
