"""Section `finetune.<run>`: one fine-tuned model."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from retune.params.section import Name, Section, Share


class Finetune(Section):
    """One run. `method: none` copies the base, so that two revisions compare tuned with untuned."""

    base: Name  # a fetched model or another run
    data: Name  # a mining recipe
    dev: Name  # the data set whose dev split chooses the epoch kept
    dev_metric: str  # such as ndcg_at_10; higher is better
    method: Literal["none", "full"]
    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]  # queries a step; each sees the others' documents as negatives
    hard_negatives: NonNegativeInt  # mined negatives a query brings to its batch
    learning_rate: PositiveFloat
    warmup_ratio: Share  # of all steps, rising linearly; then falling linearly to 0
    weight_decay: Annotated[float, Field(ge=0.0)]
    temperature: PositiveFloat  # logits are cosine similarities divided by it
    dropout: Share  # 0 trains twice as fast on a CPU
