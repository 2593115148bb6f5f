"""Blocks of `finetune.<model>` that describe how a model is tuned."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from retune.core.section import Name, Section, Share


class Lora(Section):
    """Low-rank matrices added to frozen layers; their product is scaled by alpha / rank."""

    rank: PositiveInt
    alpha: PositiveInt
    dropout: Share  # probability, for the input of the low-rank matrices
    load_in_4bit: bool  # quantise the frozen layers in training, on CUDA only; the written model is not quantised
    target_modules: Annotated[list[str], Field(min_length=1)] | Literal["all-linear"]  # last parts of layers' names


class Icl(Section):
    """In-context examples: other queries of the batch, each with a relevant document, put before a query."""

    examples: bool
    example_max_length: PositiveInt  # tokens of an example's query; its document may have document_max_length


class Nudge(Section):
    """Document vectors move towards their training queries (NUDGE, arXiv:2409.02343); the model stays as it is."""

    variant: Literal["m", "n"]  # m: along the mean query, by one step size; n: turned towards it, keeping unit length


class QueryTower(Section):
    """Only queries are encoded by what is trained; documents keep the vectors of the base."""

    learns: Literal["model", "lora", "linear", "network"]  # a copy of the base, an adapter in it, or one behind it
    everywhere: bool  # whether queries of other data sets than the home go through it as well


class CrossEncoder(Section):
    """A reranker: it reads a query and a document together, and learns to tell positives from mined negatives."""

    loss: Literal["binary", "list_wise"]  # on each document by itself, or on the order of a query's documents
    k: PositiveInt  # dev scores reorder this many documents, the best of the guide, which is the first stage


class Averaging(Section):
    """Weight averages that are scored on dev and written instead of the trained weights."""

    RENAMED = {"base_weight": "add an entry under merge, of weight 1 - base_weight"}

    from_epoch: PositiveInt | None = None  # average the weights of all dev scores from the end of this epoch on
    models: PositiveInt = 1  # number of models to train from the base, with different batches, and to average


class Anchor(Section):
    """A part of a mixture whose texts keep the vectors of the base, instead of being trained on."""

    dataset: Name
    weight: PositiveFloat  # the loss of its batches is this times the mean squared distance to the base's vectors
