"""What does not go together in an entry of `finetune`: one function for each subject."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retune.core.section import Section
    from retune.params.finetune import Finetune

UNUSED_BY_FLAGEMBEDDING: dict[str, object] = {
    "evaluate_steps": None, "patience": None, "random_negatives": 0, "gradient_caching": False,
    "guide_margin": None, "processes": 1, "l2_sp": 0.0, "anchor": None,
}  # fmt: skip
UNUSED_BY_CROSS_ENCODERS: dict[str, object] = {
    "engine": "sentence_transformers", "lora": None, "random_negatives": 0, "gradient_caching": False,
    "loss": "infonce", "teacher_temperature": None, "guide_margin": None, "matryoshka_dims": None, "l2_sp": 0.0,
    "anchor": None, "frozen_layers": 0, "averaging": None,
}  # fmt: skip


def check_loss(entry: Finetune) -> None:
    """Refuse a loss without what it compares or needs, and a checkpoint that never comes."""
    num_negatives = entry.hard_negatives + entry.random_negatives
    is_alone = num_negatives == 0 and (not entry.in_batch_negatives or entry.batch_size == 1)
    if is_alone and entry.loss not in ("cosent", "embed_distill"):
        raise ValueError(
            "in_batch_negatives: expected true and a batch_size of at least 2 if hard_negatives and "
            f"random_negatives are 0, got {entry.in_batch_negatives} and {entry.batch_size}"
        )
    if entry.loss in ("kl", "infonce_kl", "margin_mse") and entry.hard_negatives == 0:
        raise ValueError(f"hard_negatives: expected at least 1 with loss {entry.loss}, got 0")
    if (entry.teacher_temperature is None) == (entry.loss in ("kl", "infonce_kl")):
        raise ValueError(
            "teacher_temperature: expected a number with loss kl or infonce_kl, and none with any other, "
            f"got {entry.teacher_temperature} with {entry.loss}"
        )
    if (entry.kl_weight is None) == (entry.loss == "infonce_kl"):
        raise ValueError(
            "kl_weight: expected a number with loss infonce_kl, and none with any other, "
            f"got {entry.kl_weight} with {entry.loss}"
        )
    if isinstance(entry.checkpoint, int) and (entry.checkpoint > entry.epochs or entry.patience is not None):
        raise ValueError(
            f"checkpoint: expected best, last, or (only without patience) an epoch up to epochs ({entry.epochs}), "
            f"got {entry.checkpoint}"
        )


def check_adapter(entry: Finetune) -> None:
    """Refuse an adapter that is not described, or that freezes layers which are frozen already."""
    has_adapter = entry.trains_adapter
    if has_adapter and entry.lora is None:
        raise ValueError(f"lora: expected a block with method {entry.method}, got none; docs/finetune.md has one")
    if has_adapter and entry.frozen_layers:
        raise ValueError(f"frozen_layers: expected 0 with method {entry.method}, got {entry.frozen_layers}")


def check_method(entry: Finetune) -> None:
    """Refuse a method without its block, or with options that do not suit it."""
    for name, page in (("nudge", "nudge"), ("query_tower", "query_tower"), ("cross_encoder", "finetune")):
        if entry.method == name and getattr(entry, name) is None:
            raise ValueError(f"{name}: expected a block with method {name}, got none; docs/{page}.md has one")
    if entry.head and entry.frozen_layers:
        raise ValueError(f"frozen_layers: expected 0 with query_tower.learns {entry.head}, got {entry.frozen_layers}")
    if entry.tower and (entry.anchor or entry.is_sharded or entry.engine == "flagembedding"):
        raise ValueError(
            "method: expected no anchor, deepspeed, fsdp or engine flagembedding with query_tower; remove it"
        )
    if entry.method == "nudge" and (entry.dev_documents is not None or isinstance(entry.checkpoint, int)):
        raise ValueError(
            "dev_documents and checkpoint: expected null, and best or last, with method nudge, which takes one "
            f"step chosen on the whole corpus, got {entry.dev_documents} and {entry.checkpoint}"
        )


def check_l2_sp(entry: Finetune) -> None:
    """Refuse a decay towards the base where it cannot be applied, or past the base."""
    if entry.l2_sp and (entry.method != "full" or entry.is_sharded or entry.steps_by_layer):
        raise ValueError(
            "l2_sp: expected 0 unless method is full and trainer has no deepspeed, fsdp or layer-wise optim, got "
            f"{entry.l2_sp}"
        )
    if entry.l2_sp * entry.learning_rate > 1.0:
        raise ValueError(
            f"l2_sp: expected at most 1 / learning_rate ({1.0 / entry.learning_rate:g}), as weights move past the "
            f"base's with more, got {entry.l2_sp:g}"
        )


def check_averaging(entry: Finetune) -> None:
    """Refuse averages of weights that are never there."""
    start, models = entry.averages.from_epoch, entry.averages.models
    if start is not None and (entry.trains_adapter or start > entry.epochs):
        raise ValueError(
            "averaging.from_epoch: expected none with method lora or icl, and at most epochs "
            f"({entry.epochs}) with the others, got {start} with {entry.method}"
        )
    if models == 1:
        return
    for name in ("evaluate_steps", "patience"):
        if (value := getattr(entry, name)) is not None:
            raise ValueError(f"{name}: expected none with averaging.models above 1, got {value}")
    if entry.checkpoint != "last" or start is None:
        raise ValueError(
            "checkpoint and averaging.from_epoch: expected last and an epoch with averaging.models above 1, "
            f"got {entry.checkpoint} and {start}"
        )
    if entry.is_sharded or entry.steps_by_layer:
        raise ValueError(
            "trainer: expected no deepspeed, fsdp or layer-wise optim with averaging.models above 1, "
            f"got {entry.trainer}"
        )


def check_cosent(entry: Finetune) -> None:
    """Refuse negatives beside cosent, which compares scored pairs with each other."""
    negatives = [entry.hard_negatives, entry.random_negatives, entry.in_batch_negatives]
    if entry.loss == "cosent" and (any(negatives) or entry.batch_size == 1):
        raise ValueError(
            "loss: expected hard_negatives 0, random_negatives 0, in_batch_negatives false and a batch_size of at "
            "least 2 with cosent, which compares scored pairs with each other, "
            f"got {', '.join(map(str, negatives))} and {entry.batch_size}"
        )


def check_random_negatives(entry: Finetune) -> None:
    """Refuse random negatives, which no teacher has scored, where only stored scores count."""
    if entry.loss in ("kl", "margin_mse") and entry.random_negatives:
        raise ValueError(
            f"random_negatives: expected 0 with loss {entry.loss}, which compares a query only with its positive "
            f"and hard negatives, got {entry.random_negatives}"
        )


def check_guide_margin(entry: Finetune) -> None:
    """Refuse a guide that has nothing to mask."""
    if entry.guide_margin is not None and (
        not entry.is_contrastive or not (entry.in_batch_negatives or entry.random_negatives)
    ):
        raise ValueError(
            "guide_margin: expected none unless loss is infonce or infonce_kl and there are in-batch or random "
            f"negatives to mask, got {entry.guide_margin}"
        )


def check_teacher(entry: Finetune) -> None:
    """Refuse what does not suit learning a teacher's vectors."""
    if entry.teacher_documents and not entry.keep_projection:
        raise ValueError("teacher_documents: expected keep_projection beside it, as dimensions must agree, got false")
    if entry.loss != "embed_distill":
        if entry.keep_projection:
            raise ValueError(f"keep_projection: expected false unless loss is embed_distill, got it with {entry.loss}")
        return
    if entry.method not in ("none", "full", "lora") or entry.anchor or entry.matryoshka_dims:
        raise ValueError(
            "loss: expected method full or lora, and neither anchor nor matryoshka_dims, with embed_distill, got "
            f"{entry.method}, {entry.anchor} and {entry.matryoshka_dims}"
        )
    if entry.guide == entry.base:
        raise ValueError(
            f"guide: expected a teacher other than the base with loss embed_distill, got {entry.guide!r} as both"
        )


def check_cross_encoder(entry: Finetune) -> None:
    """Refuse what training a cross-encoder does not use."""
    if entry.method != "cross_encoder":
        return
    if entry.hard_negatives == 0:
        raise ValueError("hard_negatives: expected at least 1 with method cross_encoder, got 0")
    refuse_unused(entry, UNUSED_BY_CROSS_ENCODERS, "method cross_encoder", "write that in the entry")
    if entry.processes not in ("auto", 1) or entry.is_sharded:
        raise ValueError(
            "processes and trainer: expected auto or 1, and no deepspeed or fsdp, with method cross_encoder, "
            f"got {entry.processes} and {entry.trainer}"
        )


def check_engine(entry: Finetune) -> None:
    """Refuse what FlagEmbedding's trainer does not use."""
    if entry.method == "icl" and (entry.engine != "flagembedding" or entry.icl is None):
        raise ValueError(
            f"method: expected engine flagembedding and a block icl with method icl, got {entry.engine} and {entry.icl}"
        )
    if entry.engine != "flagembedding" or entry.method in ("none", "nudge"):
        return
    remedy = "change it, or use engine sentence_transformers"
    refuse_unused(entry, UNUSED_BY_FLAGEMBEDDING, "engine flagembedding", remedy)
    if entry.averages.models > 1:
        raise ValueError(f"averaging.models: expected 1 with engine flagembedding, got {entry.averages.models}")
    if sharded := sorted({"deepspeed", "fsdp", "fsdp_config"} & set(entry.trainer)):
        raise ValueError(f"trainer.{sharded[0]}: expected none with engine flagembedding; remove it")
    if entry.loss not in ("infonce", "kl"):
        raise ValueError(f"loss: expected infonce or kl with engine flagembedding, got {entry.loss}")


def refuse_unused(entry: Section, unused: Mapping[str, object], by: str, remedy: str) -> None:
    """Refuse an entry whose method or engine, `by`, does not use an option that is not off.

    Args:
        entry: The entry.
        unused: The options, each with its value when it is off.
        by: What does not use them.
        remedy: What to do about it.

    Raises:
        ValueError: An option has another value.
    """
    for name, value in unused.items():
        if (actual := getattr(entry, name)) != value:
            raise ValueError(f"{name}: expected {json.dumps(value)} with {by}, got {actual}; {remedy}")


RULES: tuple[Callable[[Finetune], None], ...] = (
    check_loss,
    check_adapter,
    check_method,
    check_l2_sp,
    check_averaging,
    check_cosent,
    check_random_negatives,
    check_guide_margin,
    check_teacher,
    check_cross_encoder,
    check_engine,
)
