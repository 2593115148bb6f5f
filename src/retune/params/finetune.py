"""Section `finetune.<run>`: one fine-tuned model."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from retune.core.section import Name, Section, Share

UNUSED_BY_FLAGEMBEDDING: dict[str, object] = {
    "evaluate_steps": None, "patience": None, "random_negatives": 0, "gradient_caching": False,
    "guide_margin": None, "soup_size": 1, "processes": 1,
}  # fmt: skip


SHARDING = ("deepspeed", "fsdp")  # training arguments that divide the state of training among processes


class Lora(Section):
    """Matrices of low rank beside frozen layers; the change is scaled by alpha / rank."""

    rank: PositiveInt
    alpha: PositiveInt
    dropout: Share  # of what enters them
    load_in_4bit: bool  # the frozen layers, on CUDA; the model written has them as the base does
    target_modules: Annotated[list[str], Field(min_length=1)] | Literal["all-linear"]  # last parts of layers' names


class Icl(Section):
    """Examples that a query brings in training: others of its batch, each with a document that answers it."""

    examples: bool
    example_max_length: PositiveInt  # tokens of an example's query; its document has document_max_length


class Finetune(Section):
    """One run. `method: none` copies the base, so that two revisions compare tuned with untuned."""

    base: Name  # a fetched model or another run
    data: Name  # a mining recipe or a mixture
    dev: Name  # the data set whose dev split chooses what is kept
    dev_metric: str  # such as ndcg_at_10; higher is better
    dev_documents: NonNegativeInt | None  # random ones ranked with those judged and mined; null: the whole corpus
    evaluate_steps: PositiveInt | None  # steps from one dev score to the next, besides that after each epoch
    patience: PositiveInt | None  # dev scores in a row that are no better than the best, after which a run ends
    keep: Literal["best", "last"] | PositiveInt  # which model is written: by dev score, or that after an epoch
    engine: Literal["sentence_transformers", "flagembedding"]
    method: Literal["none", "full", "lora", "icl"]  # icl: decoders that read examples in their context
    lora: Lora | None
    icl: Icl | None
    epochs: PositiveInt
    batch_size: PositiveInt  # queries a step
    hard_negatives: NonNegativeInt  # mined negatives a query brings to its batch, drawn anew each epoch
    random_negatives: NonNegativeInt  # documents of the mined set drawn for each batch, compared with all its queries
    in_batch_negatives: bool  # whether a query is compared with the other queries' documents
    guide: Name  # a model that tells which other documents may answer a query; unused if guide_margin is null
    guide_margin: Annotated[float, Field(ge=0.0)] | None  # what it scores above its positive's score - this: left out
    loss: Literal["infonce", "kl", "margin_mse", "cosent"]  # all but the first learn the scores that mining kept
    temperature: PositiveFloat  # logits are cosine similarities divided by it
    teacher_temperature: PositiveFloat | None  # of kl: the scores kept are divided by it
    matryoshka_dims: Annotated[list[PositiveInt], Field(min_length=1)] | None  # the loss is the mean over these
    gradient_caching: bool  # batches of any size in the memory of one token budget, for a second forward pass
    learning_rate: PositiveFloat
    warmup_ratio: Share  # of the steps from the base, rising linearly; then falling linearly to 0
    weight_decay: Annotated[float, Field(ge=0.0)]
    frozen_layers: NonNegativeInt  # the lowest, with the embeddings below them, stay as the base's; 0: none
    dropout: Share  # 0 trains twice as fast on a CPU
    base_share: Share  # weights scored and written: base_share * base + (1 - base_share) * tuned
    average_from: PositiveInt | None  # epoch from whose end on the weights at dev scores are averaged
    soup_size: PositiveInt  # times to train from the base, with other batches each; the mean is over all of them
    processes: PositiveInt | Literal["auto"]  # that share every batch; auto: one a visible GPU
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"]  # auto: packed or eager on a CPU
    checkpoint_minutes: PositiveFloat  # what a killed run loses at most
    trainer: dict[str, Any]  # any other training argument of sentence-transformers and transformers

    @property
    def all_epochs(self) -> int:
        """Return the epochs of all models of the soup together."""
        return self.epochs * self.soup_size

    @property
    def is_sharded(self) -> bool:
        """Return whether DeepSpeed or FSDP divides the state of training among processes."""
        return any(self.trainer.get(name) for name in SHARDING)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        is_alone = not self.in_batch_negatives or self.batch_size == 1
        if self.loss != "cosent" and self.hard_negatives + self.random_negatives == 0 and is_alone:
            raise ValueError(
                "in_batch_negatives: expected true and a batch_size of 2 or more where hard_negatives and "
                f"random_negatives are 0, got {self.in_batch_negatives} and {self.batch_size}"
            )
        if self.loss in ("kl", "margin_mse") and self.hard_negatives == 0:
            raise ValueError(f"hard_negatives: expected 1 or more with loss {self.loss}, got 0")
        if (self.teacher_temperature is None) == (self.loss == "kl"):
            raise ValueError(
                f"teacher_temperature: expected a number with loss kl and null else, got {self.teacher_temperature} "
                f"with {self.loss}"
            )
        if isinstance(self.keep, int) and (self.keep > self.epochs or self.patience is not None):
            raise ValueError(
                f"keep: expected best, last, or without patience an epoch up to epochs ({self.epochs}), got {self.keep}"
            )
        return self

    @model_validator(mode="after")
    def _suits_method(self) -> Self:
        if (self.method in ("lora", "icl")) > (self.lora is not None):
            raise ValueError(f"lora: expected a section as in docs/finetune.md with method {self.method}, got null")
        if self.method in ("lora", "icl") and self.base_share:
            raise ValueError(
                f"base_share: expected 0 with method {self.method} (lower alpha instead), got {self.base_share}"
            )
        if self.average_from is not None and (self.method in ("lora", "icl") or self.average_from > self.epochs):
            raise ValueError(
                f"average_from: expected null with method lora or icl, else null or an epoch up to epochs "
                f"({self.epochs}), got {self.average_from} with {self.method}"
            )
        if self.frozen_layers and self.method in ("lora", "icl"):
            raise ValueError(f"frozen_layers: expected 0 with method {self.method}, got {self.frozen_layers}")
        return self

    @model_validator(mode="after")
    def _soup_is_the_mean_of_like_models(self) -> Self:
        if self.soup_size == 1:
            return self
        for name in ("evaluate_steps", "patience"):
            if (value := getattr(self, name)) is not None:
                raise ValueError(f"{name}: expected null with a soup_size above 1, got {value}")
        if self.keep != "last" or self.average_from is None:
            raise ValueError(
                f"keep and average_from: expected last and an epoch with a soup_size above 1, got {self.keep} and "
                f"{self.average_from}"
            )
        optimizer = str(self.trainer.get("optim", ""))
        if self.trainer.get("deepspeed") or self.trainer.get("fsdp") or "lomo" in optimizer or "layerwise" in optimizer:
            raise ValueError(
                "trainer: expected neither deepspeed, fsdp nor an optim by layers with a soup_size above 1, got "
                f"{self.trainer}"
            )
        return self

    @model_validator(mode="after")
    def _scored_pairs_are_compared_with_each_other(self) -> Self:
        negatives = [self.hard_negatives, self.random_negatives, self.in_batch_negatives]
        if self.loss == "cosent" and (any(negatives) or self.batch_size == 1):
            raise ValueError(
                "loss: cosent compares scored pairs with each other: expected hard_negatives 0, random_negatives 0, "
                "in_batch_negatives false and a batch_size of 2 or more, "
                f"got {', '.join(map(str, negatives))} and {self.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _random_negatives_have_a_use(self) -> Self:
        if self.loss in ("kl", "margin_mse") and self.random_negatives:
            raise ValueError(
                f"random_negatives: expected 0 with loss {self.loss}, which compares a query with its own documents "
                f"alone, got {self.random_negatives}"
            )
        return self

    @model_validator(mode="after")
    def _guide_has_a_use(self) -> Self:
        if self.guide_margin is not None and (
            self.loss != "infonce" or not (self.in_batch_negatives or self.random_negatives)
        ):
            raise ValueError(
                "guide_margin: expected null without infonce and in-batch or random negatives, which it is about, "
                f"got {self.guide_margin}"
            )
        return self

    @model_validator(mode="after")
    def _suits_engine(self) -> Self:
        if self.method == "icl" and (self.engine != "flagembedding" or self.icl is None):
            raise ValueError(
                "method: icl expects engine flagembedding and icl with examples and example_max_length, "
                f"got {self.engine} and {self.icl}"
            )
        if self.engine != "flagembedding" or self.method == "none":
            return self
        for name, value in UNUSED_BY_FLAGEMBEDDING.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"{name}: expected {json.dumps(value)} with engine flagembedding, "
                    f"got {getattr(self, name)}; or take engine sentence_transformers"
                )
        if sharded := sorted({"deepspeed", "fsdp", "fsdp_config"} & set(self.trainer)):
            raise ValueError(f"trainer.{sharded[0]}: expected none with engine flagembedding; remove it")
        if self.loss not in ("infonce", "kl"):
            raise ValueError(f"loss: expected infonce or kl with engine flagembedding, got {self.loss}")
        return self
