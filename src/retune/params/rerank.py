"""Section `rerank.<name>`: a model that finds documents, and a cross-encoder that reorders the best of them."""

from typing import Self

from pydantic import PositiveInt, model_validator

from retune.core.section import Name, Section


class Rerank(Section):
    """A first stage and a reranker."""

    first_stage: Name
    reranker: Name  # a cross-encoder
    k: PositiveInt  # documents of each query that the reranker scores

    @property
    def parts(self) -> tuple[str, str]:
        """The names of the two models."""
        return self.first_stage, self.reranker

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        if self.first_stage == self.reranker:
            raise ValueError(f"reranker: expected another model than first_stage, got {self.reranker!r} for both")
        return self
