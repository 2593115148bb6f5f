"""Section `finetune.<model>`: one tuned model."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from retune.core.section import Name, Section, Share

UNUSED_BY_FLAGEMBEDDING: dict[str, object] = {
    "evaluate_steps": None, "patience": None, "random_negatives": 0, "gradient_caching": False,
    "guide_margin": None, "processes": 1,
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


class Averaging(Section):
    """Which weights are scored on dev and written instead of those that training ends with."""

    from_epoch: PositiveInt | None = None  # from its end on, the weights at dev scores are averaged
    models: PositiveInt = 1  # times to train from the base, with other batches each; the mean is over all of them
    base_weight: Share = 0.0  # base_weight * base + (1 - base_weight) * tuned


class Finetune(Section):
    """One tuned model. `method: none` copies the base, so that two revisions compare tuned with untuned."""

    RENAMED = {
        "keep": "write checkpoint",
        "base_share": "write averaging: {base_weight: ...}",
        "average_from": "write averaging: {from_epoch: ...}",
        "soup_size": "write averaging: {models: ...}",
        "checkpoint_minutes": "set RETUNE_CHECKPOINT_MINUTES in the environment",
    }

    # Data and selection
    base: Name  # a fetched or tuned model
    data: Name  # a mining recipe or a mixture
    dev: Name  # the data set whose dev split chooses what is kept
    guide: Name  # the model that masks likely false negatives; unused without guide_margin
    dev_metric: str  # such as ndcg_at_10; higher is better
    dev_documents: NonNegativeInt | None = None  # random ones ranked with those judged and mined; off: whole corpus
    evaluate_steps: PositiveInt | None = None  # steps from one dev score to the next, besides that after each epoch
    patience: PositiveInt | None = None  # training stops after so many dev scores in a row no better than the best
    checkpoint: Literal["best", "last"] | PositiveInt  # which is written: best on dev, last, or that after an epoch

    # Method
    engine: Literal["sentence_transformers", "flagembedding"]
    method: Literal["none", "full", "lora", "icl"]  # icl: decoders that read examples in their context
    lora: Lora | None = None
    icl: Icl | None = None

    # Batch
    epochs: PositiveInt
    batch_size: PositiveInt  # queries a step
    hard_negatives: NonNegativeInt  # mined negatives a query brings to its batch, drawn anew each epoch
    random_negatives: NonNegativeInt = 0  # documents of the mined set drawn for each batch, compared with all queries
    in_batch_negatives: bool  # whether a query is compared with the other queries' documents
    gradient_caching: bool = False  # batches of any size in the memory of one token budget, for a second forward pass

    # Loss
    loss: Literal["infonce", "kl", "margin_mse", "cosent"]  # all but infonce distil stored scores
    temperature: PositiveFloat  # logits are cosine similarities divided by it
    teacher_temperature: PositiveFloat | None = None  # of kl: the stored scores are divided by it
    guide_margin: Annotated[float, Field(ge=0.0)] | None = None  # documents above positive - margin are masked
    matryoshka_dims: Annotated[list[PositiveInt], Field(min_length=1)] | None = None  # the loss is the mean over these

    # Optimisation and regularisation
    learning_rate: PositiveFloat
    warmup_ratio: Share  # of the steps from the base, rising linearly; then falling linearly to 0
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    frozen_layers: NonNegativeInt = 0  # the lowest N layers, with the embeddings below them, are frozen
    dropout: Share = 0.0  # without it training is twice as fast on a CPU
    averaging: Averaging | None = None

    # Hardware, and the rest
    processes: PositiveInt | Literal["auto"]  # that share every batch; auto: one for each visible GPU
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"]  # auto: packed or eager on a CPU
    trainer: dict[str, Any] = {}  # any other training argument of sentence-transformers and transformers

    @property
    def averages(self) -> Averaging:
        """Return what is averaged: nothing where `averaging` is absent."""
        return self.averaging or Averaging()

    @property
    def all_epochs(self) -> int:
        """Return the epochs of all models that are averaged together."""
        return self.epochs * self.averages.models

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
                f"teacher_temperature: expected a number with loss kl and none else, got {self.teacher_temperature} "
                f"with {self.loss}"
            )
        if isinstance(self.checkpoint, int) and (self.checkpoint > self.epochs or self.patience is not None):
            raise ValueError(
                f"checkpoint: expected best, last, or without patience an epoch up to epochs ({self.epochs}), "
                f"got {self.checkpoint}"
            )
        return self

    @model_validator(mode="after")
    def _suits_method(self) -> Self:
        has_adapter = self.method in ("lora", "icl")
        if has_adapter and self.lora is None:
            raise ValueError(f"lora: expected a block as in docs/finetune.md with method {self.method}, got none")
        if has_adapter and self.averages.base_weight:
            raise ValueError(
                f"averaging.base_weight: expected 0 with method {self.method} (lower alpha instead), "
                f"got {self.averages.base_weight}"
            )
        if has_adapter and self.frozen_layers:
            raise ValueError(f"frozen_layers: expected 0 with method {self.method}, got {self.frozen_layers}")
        return self

    @model_validator(mode="after")
    def _averages_what_is_there(self) -> Self:
        start, models = self.averages.from_epoch, self.averages.models
        if start is not None and (self.method in ("lora", "icl") or start > self.epochs):
            raise ValueError(
                f"averaging.from_epoch: expected none with method lora or icl, else none or an epoch up to epochs "
                f"({self.epochs}), got {start} with {self.method}"
            )
        if models == 1:
            return self
        for name in ("evaluate_steps", "patience"):
            if (value := getattr(self, name)) is not None:
                raise ValueError(f"{name}: expected none with averaging.models above 1, got {value}")
        if self.checkpoint != "last" or start is None:
            raise ValueError(
                f"checkpoint and averaging.from_epoch: expected last and an epoch with averaging.models above 1, "
                f"got {self.checkpoint} and {start}"
            )
        optimizer = str(self.trainer.get("optim", ""))
        if self.is_sharded or "lomo" in optimizer or "layerwise" in optimizer:
            raise ValueError(
                "trainer: expected neither deepspeed, fsdp nor an optim by layers with averaging.models above 1, "
                f"got {self.trainer}"
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
                "guide_margin: expected none without infonce and in-batch or random negatives, which it masks, "
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
        if self.averages.models > 1:
            raise ValueError(f"averaging.models: expected 1 with engine flagembedding, got {self.averages.models}")
        if sharded := sorted({"deepspeed", "fsdp", "fsdp_config"} & set(self.trainer)):
            raise ValueError(f"trainer.{sharded[0]}: expected none with engine flagembedding; remove it")
        if self.loss not in ("infonce", "kl"):
            raise ValueError(f"loss: expected infonce or kl with engine flagembedding, got {self.loss}")
        return self
