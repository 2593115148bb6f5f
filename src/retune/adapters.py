"""LoRA (Hu et al., arXiv:2106.09685) on a sentence-transformers model: put in, merged, saved by itself."""

import copy
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from sentence_transformers import SentenceTransformer

from retune.errors import InputError
from retune.params.finetune import Lora


def add_lora(model: SentenceTransformer, lora: Lora, *, base: str, seed: int) -> None:
    """Freeze a model in place and add matrices of low rank to its linear layers, which are what is trained.

    Args:
        model: Its first module is a transformer.
        lora: The matrices.
        base: The name of the model, which the adapter's config tells.
        seed: Of the matrices that do not begin as zeros.

    Raises:
        InputError: The model has no layers of a name in `target_modules`.
    """
    transformer: Any = model[0]
    for parameter in model.parameters():
        parameter.requires_grad = False
    config = LoraConfig(
        task_type=TaskType.FEATURE_EXTRACTION,
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
    )
    names = {
        name.rpartition(".")[2]
        for name, layer in transformer.model.named_modules()
        if isinstance(layer, torch.nn.Linear)
    }
    if isinstance(lora.target_modules, list) and (unknown := sorted(set(lora.target_modules) - names)):
        raise InputError(
            f"lora.target_modules: expected names of linear layers, {', '.join(sorted(names))}, or all-linear, "
            f"got {', '.join(unknown)}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer.model = get_peft_model(transformer.model, config)
    transformer.model.peft_config["default"].base_model_name_or_path = base


def copy_whole(model: SentenceTransformer) -> SentenceTransformer:
    """Return a copy of a model in training as it is used: what an adapter adds is in its weights, no autocast."""
    whole = copy.deepcopy(model).eval()
    for name in ("forward", "_original_forward"):  # accelerate's wrapper
        whole.__dict__.pop(name, None)
    first: Any = whole[0]
    if isinstance(_transformer(whole), PeftModel):
        first.model = first.model.merge_and_unload()
    return whole


def save_adapter(model: SentenceTransformer, folder: Path) -> None:
    """Write the adapter of a model, if it has one, as peft does but for its card."""
    transformer = _transformer(model)
    if isinstance(transformer, PeftModel):
        transformer.save_pretrained(str(folder), save_embedding_layers=False)  # else it asks the Hub
        (folder / "README.md").unlink(missing_ok=True)


def _transformer(model: SentenceTransformer) -> Any:
    return getattr(model[0], "model", None)
