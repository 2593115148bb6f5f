"""Section `finetune.<model>`: one tuned model."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from retune.core.section import Name, Section, Share
from retune.params.methods import (
    UNUSED_BY_CROSS_ENCODERS,
    Anchor,
    Averaging,
    CrossEncoder,
    Icl,
    Lora,
    Nudge,
    QueryTower,
    refuse_unused,
)

UNUSED_BY_FLAGEMBEDDING: dict[str, object] = {
    "evaluate_steps": None, "patience": None, "random_negatives": 0, "gradient_caching": False,
    "guide_margin": None, "processes": 1, "l2_sp": 0.0, "anchor": None,
}  # fmt: skip
SHARDING = ("deepspeed", "fsdp")  # training arguments that shard the training state among processes


class Finetune(Section):
    """One tuned model. `method: none` copies the base, to compare a tuned with an untuned revision."""

    RENAMED = {
        "keep": "write checkpoint",
        "base_share": "add an entry under merge, of weight 1 - base_share",
        "average_from": "write averaging: {from_epoch: ...}",
        "soup_size": "write averaging: {models: ...}",
        "checkpoint_minutes": "set RETUNE_CHECKPOINT_MINUTES in the environment",
    }
    OF_ONE_ENTRY = frozenset({"base", "data", "dev", "guide", "home", "seed"})

    # Data and selection
    base: Name  # a fetched or tuned model
    data: Name  # a mining recipe or a mixture
    dev: Name  # the data set whose dev split selects the checkpoint
    guide: Name  # the model that masks likely false negatives, with guide_margin; a cross-encoder's first stage
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None  # of this training; null: the project's
    home: Name | None = None  # the evaluated data set it is tuned for; null: the one its train queries belong to
    dev_metric: str  # such as ndcg_at_10; higher is better
    dev_documents: NonNegativeInt | None = None  # random documents, ranked with the judged and mined; null: the corpus
    evaluate_steps: PositiveInt | None = None  # score on dev every N steps, and after each epoch
    patience: PositiveInt | None = None  # stop after this many dev scores in a row that do not exceed the best
    checkpoint: Literal["best", "last"] | PositiveInt  # to write: the best on dev, the last, or that of an epoch

    # Method
    engine: Literal["sentence_transformers", "flagembedding"]
    method: Literal["none", "full", "lora", "icl", "nudge", "query_tower", "cross_encoder"]  # icl: in-context examples
    lora: Lora | None = None
    icl: Icl | None = None
    nudge: Nudge | None = None
    query_tower: QueryTower | None = None
    cross_encoder: CrossEncoder | None = None

    # Batch
    epochs: PositiveInt
    batch_size: PositiveInt  # queries per step
    hard_negatives: NonNegativeInt  # mined negatives per query in a batch, redrawn every epoch
    random_negatives: NonNegativeInt = 0  # documents of the mined set, drawn for each batch as negatives of all queries
    in_batch_negatives: bool  # whether the documents of the other queries are negatives as well
    gradient_caching: bool = False  # train large batches within one token budget of memory, by a second forward pass

    # Loss
    loss: Literal["infonce", "kl", "margin_mse", "cosent"]  # all but infonce distil stored scores
    temperature: PositiveFloat  # logits are cosine similarities divided by this
    teacher_temperature: PositiveFloat | None = None  # kl only: stored scores are divided by this
    guide_margin: Annotated[float, Field(ge=0.0)] | None = None  # documents scoring above positive - margin are masked
    matryoshka_dims: Annotated[list[PositiveInt], Field(min_length=1)] | None = None  # average the loss over these

    # Optimisation and regularisation
    learning_rate: PositiveFloat
    warmup_ratio: Share  # share of the steps in which the learning rate rises linearly; then it falls linearly to 0
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    l2_sp: Annotated[float, Field(ge=0.0)] = 0.0  # decay towards the base's weights, as weight_decay is towards 0
    anchor: Anchor | None = None
    frozen_layers: NonNegativeInt = 0  # the lowest N layers and the embeddings below them are frozen
    dropout: Share = 0.0  # 0 makes training 1.5 to 2 times as fast on a CPU
    averaging: Averaging | None = None

    # Hardware, and the rest
    processes: PositiveInt | Literal["auto"]  # processes that share every batch; auto: one per visible GPU
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"]  # auto: packed or eager on a CPU
    trainer: dict[str, Any] = {}  # other training arguments of sentence-transformers and transformers

    @property
    def averages(self) -> Averaging:
        """Return `averaging`, or a block that averages nothing if it is absent."""
        return self.averaging or Averaging()

    @property
    def all_epochs(self) -> int:
        """Return the total number of epochs of all averaged models."""
        return self.epochs * self.averages.models

    @property
    def tower(self) -> QueryTower | None:
        """Return `query_tower` if that is the method."""
        return self.query_tower if self.method == "query_tower" else None

    @property
    def trains_adapter(self) -> bool:
        """Return whether low-rank matrices are trained, as `lora` describes them."""
        return self.method in ("lora", "icl") or (self.tower is not None and self.tower.learns == "lora")

    @property
    def head(self) -> Literal["linear", "network"] | None:
        """Return what is trained behind the frozen base, on the vectors of queries, if anything is."""
        learns = self.tower.learns if self.tower else None
        return learns if learns in ("linear", "network") else None

    @property
    def is_sharded(self) -> bool:
        """Return whether DeepSpeed or FSDP shards the training state among processes."""
        return any(self.trainer.get(name) for name in SHARDING)

    @property
    def steps_by_layer(self) -> bool:
        """Return whether the optimizer updates each layer during the backward pass."""
        optimizer = str(self.trainer.get("optim", ""))
        return "lomo" in optimizer or "layerwise" in optimizer

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        is_alone = not self.in_batch_negatives or self.batch_size == 1
        if self.loss != "cosent" and self.hard_negatives + self.random_negatives == 0 and is_alone:
            raise ValueError(
                "in_batch_negatives: expected true and a batch_size of at least 2 if hard_negatives and "
                f"random_negatives are 0, got {self.in_batch_negatives} and {self.batch_size}"
            )
        if self.loss in ("kl", "margin_mse") and self.hard_negatives == 0:
            raise ValueError(f"hard_negatives: expected at least 1 with loss {self.loss}, got 0")
        if (self.teacher_temperature is None) == (self.loss == "kl"):
            raise ValueError(
                "teacher_temperature: expected a number with loss kl, and none with any other, "
                f"got {self.teacher_temperature} with {self.loss}"
            )
        if isinstance(self.checkpoint, int) and (self.checkpoint > self.epochs or self.patience is not None):
            raise ValueError(
                f"checkpoint: expected best, last, or (only without patience) an epoch up to epochs ({self.epochs}), "
                f"got {self.checkpoint}"
            )
        return self

    @model_validator(mode="after")
    def _suits_method(self) -> Self:
        has_adapter = self.trains_adapter
        if has_adapter and self.lora is None:
            raise ValueError(f"lora: expected a block with method {self.method}, got none; docs/finetune.md has one")
        if has_adapter and self.frozen_layers:
            raise ValueError(f"frozen_layers: expected 0 with method {self.method}, got {self.frozen_layers}")
        return self

    @model_validator(mode="after")
    def _suits_one_data_set(self) -> Self:
        for name, page in (("nudge", "nudge"), ("query_tower", "query_tower"), ("cross_encoder", "finetune")):
            if self.method == name and getattr(self, name) is None:
                raise ValueError(f"{name}: expected a block with method {name}, got none; docs/{page}.md has one")
        if self.head and self.frozen_layers:
            raise ValueError(f"frozen_layers: expected 0 with query_tower.learns {self.head}, got {self.frozen_layers}")
        if self.tower and (self.anchor or self.is_sharded or self.engine == "flagembedding"):
            raise ValueError(
                "method: expected no anchor, deepspeed, fsdp or engine flagembedding with query_tower; remove it"
            )
        if self.method == "nudge" and (self.dev_documents is not None or isinstance(self.checkpoint, int)):
            raise ValueError(
                "dev_documents and checkpoint: expected null, and best or last, with method nudge, which takes one "
                f"step chosen on the whole corpus, got {self.dev_documents} and {self.checkpoint}"
            )
        return self

    @model_validator(mode="after")
    def _stays_near_base(self) -> Self:
        if self.l2_sp and (self.method != "full" or self.is_sharded or self.steps_by_layer):
            raise ValueError(
                "l2_sp: expected 0 unless method is full and trainer has no deepspeed, fsdp or layer-wise optim, got "
                f"{self.l2_sp}"
            )
        if self.l2_sp * self.learning_rate > 1.0:
            raise ValueError(
                f"l2_sp: expected at most 1 / learning_rate ({1.0 / self.learning_rate:g}), as weights move past the "
                f"base's with more, got {self.l2_sp:g}"
            )
        return self

    @model_validator(mode="after")
    def _averaging_is_possible(self) -> Self:
        start, models = self.averages.from_epoch, self.averages.models
        if start is not None and (self.trains_adapter or start > self.epochs):
            raise ValueError(
                "averaging.from_epoch: expected none with method lora or icl, and at most epochs "
                f"({self.epochs}) with the others, got {start} with {self.method}"
            )
        if models == 1:
            return self
        for name in ("evaluate_steps", "patience"):
            if (value := getattr(self, name)) is not None:
                raise ValueError(f"{name}: expected none with averaging.models above 1, got {value}")
        if self.checkpoint != "last" or start is None:
            raise ValueError(
                "checkpoint and averaging.from_epoch: expected last and an epoch with averaging.models above 1, "
                f"got {self.checkpoint} and {start}"
            )
        if self.is_sharded or self.steps_by_layer:
            raise ValueError(
                "trainer: expected no deepspeed, fsdp or layer-wise optim with averaging.models above 1, "
                f"got {self.trainer}"
            )
        return self

    @model_validator(mode="after")
    def _cosent_compares_scored_pairs(self) -> Self:
        negatives = [self.hard_negatives, self.random_negatives, self.in_batch_negatives]
        if self.loss == "cosent" and (any(negatives) or self.batch_size == 1):
            raise ValueError(
                "loss: expected hard_negatives 0, random_negatives 0, in_batch_negatives false and a batch_size of at "
                "least 2 with cosent, which compares scored pairs with each other, "
                f"got {', '.join(map(str, negatives))} and {self.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _random_negatives_suit_loss(self) -> Self:
        if self.loss in ("kl", "margin_mse") and self.random_negatives:
            raise ValueError(
                f"random_negatives: expected 0 with loss {self.loss}, which compares a query only with its positive "
                f"and hard negatives, got {self.random_negatives}"
            )
        return self

    @model_validator(mode="after")
    def _guide_has_negatives_to_mask(self) -> Self:
        if self.guide_margin is not None and (
            self.loss != "infonce" or not (self.in_batch_negatives or self.random_negatives)
        ):
            raise ValueError(
                "guide_margin: expected none unless loss is infonce and there are in-batch or random negatives to "
                f"mask, got {self.guide_margin}"
            )
        return self

    @model_validator(mode="after")
    def _suits_cross_encoder(self) -> Self:
        if self.method != "cross_encoder":
            return self
        if self.hard_negatives == 0:
            raise ValueError("hard_negatives: expected at least 1 with method cross_encoder, got 0")
        refuse_unused(self, UNUSED_BY_CROSS_ENCODERS, "method cross_encoder", "write that in the entry")
        if self.processes not in ("auto", 1) or self.is_sharded:
            raise ValueError(
                "processes and trainer: expected auto or 1, and no deepspeed or fsdp, with method cross_encoder, "
                f"got {self.processes} and {self.trainer}"
            )
        return self

    @model_validator(mode="after")
    def _suits_engine(self) -> Self:
        if self.method == "icl" and (self.engine != "flagembedding" or self.icl is None):
            raise ValueError(
                "method: expected engine flagembedding and a block icl with method icl, "
                f"got {self.engine} and {self.icl}"
            )
        if self.engine != "flagembedding" or self.method in ("none", "nudge"):
            return self
        remedy = "change it, or use engine sentence_transformers"
        refuse_unused(self, UNUSED_BY_FLAGEMBEDDING, "engine flagembedding", remedy)
        if self.averages.models > 1:
            raise ValueError(f"averaging.models: expected 1 with engine flagembedding, got {self.averages.models}")
        if sharded := sorted({"deepspeed", "fsdp", "fsdp_config"} & set(self.trainer)):
            raise ValueError(f"trainer.{sharded[0]}: expected none with engine flagembedding; remove it")
        if self.loss not in ("infonce", "kl"):
            raise ValueError(f"loss: expected infonce or kl with engine flagembedding, got {self.loss}")
        return self
