"""Section `finetune.<model>`: one tuned model."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from retune.core.section import Name, Section, Share
from retune.params.finetune_rules import RULES
from retune.params.methods import (
    Anchor,
    Averaging,
    CrossEncoder,
    Icl,
    Lora,
    Nudge,
    QueryTower,
)

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
    # masks likely false negatives (guide_margin), teaches (embed_distill), or is a cross-encoder's first stage
    guide: Name
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
    # infonce is contrastive; embed_distill learns the guide's vectors; the others learn stored scores
    loss: Literal["infonce", "kl", "infonce_kl", "margin_mse", "cosent", "embed_distill"]
    temperature: PositiveFloat  # logits are cosine similarities divided by this
    teacher_temperature: PositiveFloat | None = None  # kl and infonce_kl: stored scores are divided by this
    kl_weight: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None  # infonce_kl only: of kl; infonce has the rest
    keep_projection: bool = False  # embed_distill only: write a model whose vectors are in the teacher's space
    teacher_documents: bool = False  # with keep_projection: the teacher encodes documents, and the model only queries
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
    def is_contrastive(self) -> bool:
        """Return whether a query's positive competes with all documents that the query is compared with."""
        return self.loss in ("infonce", "infonce_kl")

    @property
    def learns_from_guide(self) -> bool:
        """Return whether the guide has a part in training, besides finding what is reranked on dev."""
        return self.guide_margin is not None or self.loss == "embed_distill"

    @property
    def needs_guide(self) -> bool:
        """Return whether the guide is read at all."""
        return self.learns_from_guide or self.method == "cross_encoder"

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
    def _keeps_the_rules(self) -> Self:
        for rule in RULES:
            rule(self)
        return self
