"""Block `llm` of an entry: which language model answers, how, and what it may cost."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from retune.core.section import Section


class Prices(Section):
    """What the server charges, in any currency."""

    per_million_input: NonNegativeFloat  # tokens of prompts
    per_million_output: NonNegativeFloat  # tokens of replies


class Budget(Section):
    """What one run of a stage may spend; kept replies cost nothing. One limit of the two."""

    RENAMED = {"max_cost": "write cost", "max_tokens": "write tokens"}

    cost: NonNegativeFloat | None = None  # in the currency of `prices`
    tokens: NonNegativeInt | None = None  # of prompts and replies together

    @model_validator(mode="after")
    def _has_one_limit(self) -> Self:
        if (self.cost is None) == (self.tokens is None):
            raise ValueError(f"expected cost or tokens, got {self.cost} and {self.tokens}")
        return self


class Remote(Section):
    """A model behind an OpenAI-compatible server: how long to wait for it, and what it may cost."""

    model: Annotated[str, Field(min_length=1)]  # as the server names it
    timeout_s: PositiveFloat  # of one attempt, from sending it to the last byte
    total_timeout_s: PositiveFloat | None = None  # of all requests of a stage together
    prices: Prices | None = None
    budget: Budget | None = None

    @model_validator(mode="after")
    def _cost_has_prices(self) -> Self:
        if self.prices is None and self.budget is not None and self.budget.cost is not None:
            raise ValueError("budget.cost: expected prices beside it, found none; add them or use tokens")
        return self


class Llm(Remote):
    """A language model, whose server's address and key are in the environment."""

    temperature: Annotated[float, Field(ge=0.0, le=2.0)]
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    max_tokens: PositiveInt  # of one reply
