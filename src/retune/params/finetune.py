"""Section `finetune.<run>`: one fine-tuned model."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from retune.params.section import Name, Section, Share


class Lora(Section):
    """Matrices of low rank beside frozen layers; the change is scaled by alpha / rank."""

    rank: PositiveInt
    alpha: PositiveInt
    dropout: Share  # of what enters them
    target_modules: Annotated[list[str], Field(min_length=1)] | Literal["all-linear"]  # last parts of layers' names


class Finetune(Section):
    """One run. `method: none` copies the base, so that two revisions compare tuned with untuned."""

    base: Name  # a fetched model or another run
    data: Name  # a mining recipe
    dev: Name  # the data set whose dev split chooses what is kept
    dev_metric: str  # such as ndcg_at_10; higher is better
    dev_documents: NonNegativeInt | None  # random ones ranked with those judged and mined; null: the whole corpus
    evaluate_steps: PositiveInt | None  # steps from one dev score to the next, besides that after each epoch
    patience: PositiveInt | None  # dev scores in a row that are no better than the best, after which a run ends
    keep: Literal["best", "last"] | PositiveInt  # which model is written: by dev score, or that after an epoch
    method: Literal["none", "full", "lora"]
    lora: Lora | None
    epochs: PositiveInt
    batch_size: PositiveInt  # queries a step
    hard_negatives: NonNegativeInt  # mined negatives a query brings to its batch, drawn anew each epoch
    random_negatives: NonNegativeInt  # documents of the mined set drawn for each batch, compared with all its queries
    in_batch_negatives: bool  # whether a query is compared with the other queries' documents
    loss: Literal["infonce", "kl", "margin_mse"]  # the latter two learn the scores that the mining recipe kept
    temperature: PositiveFloat  # logits are cosine similarities divided by it
    teacher_temperature: PositiveFloat | None  # of kl: the scores kept are divided by it
    matryoshka_dims: Annotated[list[PositiveInt], Field(min_length=1)] | None  # the loss is the mean over these
    gradient_caching: bool  # batches of any size in the memory of one token budget, for a second forward pass
    learning_rate: PositiveFloat
    warmup_ratio: Share  # of all steps, rising linearly; then falling linearly to 0
    weight_decay: Annotated[float, Field(ge=0.0)]
    dropout: Share  # 0 trains twice as fast on a CPU
    base_share: Share  # weights scored and written: base_share * base + (1 - base_share) * tuned
    checkpoint_minutes: PositiveFloat  # what a killed run loses at most
    trainer: dict[str, Any]  # any other training argument of sentence-transformers and transformers

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.hard_negatives + self.random_negatives == 0 and (not self.in_batch_negatives or self.batch_size == 1):
            raise ValueError(
                "in_batch_negatives: expected true and a batch_size of 2 or more where hard_negatives and "
                f"random_negatives are 0, got {self.in_batch_negatives} and {self.batch_size}"
            )
        if self.loss != "infonce" and self.hard_negatives == 0:
            raise ValueError(f"hard_negatives: expected 1 or more with loss {self.loss}, got 0")
        if (self.teacher_temperature is None) == (self.loss == "kl"):
            raise ValueError(
                f"teacher_temperature: expected a number with loss kl and null else, got {self.teacher_temperature} "
                f"with {self.loss}"
            )
        if (self.method == "lora") > (self.lora is not None):
            raise ValueError("lora: expected rank, alpha, dropout and target_modules with method lora, got null")
        if self.method == "lora" and self.base_share:
            raise ValueError(f"base_share: expected 0 with method lora (lower alpha instead), got {self.base_share}")
        if isinstance(self.keep, int) and (self.keep > self.epochs or self.patience is not None):
            raise ValueError(
                f"keep: expected best, last, or without patience an epoch up to epochs ({self.epochs}), got {self.keep}"
            )
        return self
