"""LoRA (Hu et al., arXiv:2106.09685) on a sentence-transformers model: put in, merged, saved by itself."""

import copy
from pathlib import Path
from typing import Any

import torch
from peft import (
    LoraConfig,
    PeftModel,
    TaskType,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from sentence_transformers import SentenceTransformer

from retune.core.errors import InputError
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
    told = transformer.model.peft_config["default"]
    told.base_model_name_or_path = base
    told.target_modules = sorted(told.target_modules)  # a set, which is written in another order each time


def copy_whole(model: SentenceTransformer) -> SentenceTransformer:
    """Return a copy of a model in training as it is used: what an adapter adds is in its weights, no autocast."""
    transformer = _transformer(model)
    merged = {id(transformer): _merged(transformer)} if isinstance(transformer, PeftModel) else {}
    whole = copy.deepcopy(model, merged).eval()
    for name in ("forward", "_original_forward"):  # accelerate's wrapper
        whole.__dict__.pop(name, None)
    return whole


def _merged(adapted: PeftModel) -> Any:
    """Return a transformer with its adapter in its weights: those of the base as it is saved, were they in 4 bits."""
    base: Any = adapted.get_base_model()
    if not _is_in_4bit(base):
        return copy.deepcopy(adapted).merge_and_unload()
    saved = type(base).from_pretrained(base.name_or_path, local_files_only=True, dtype="auto").to(base.device)
    config = copy.deepcopy(adapted.peft_config["default"])  # peft writes the path of the base into it
    again = get_peft_model(saved, config, low_cpu_mem_usage=True)  # draws no random numbers
    set_peft_model_state_dict(again, get_peft_model_state_dict(adapted), low_cpu_mem_usage=True)
    return again.merge_and_unload()


def _is_in_4bit(transformer: Any) -> bool:
    return bool(getattr(transformer, "is_loaded_in_4bit", False))


def save_adapter(model: SentenceTransformer, folder: Path) -> None:
    """Write the adapter of a model, if it has one, as peft does but for its card."""
    transformer = _transformer(model)
    if isinstance(transformer, PeftModel):
        transformer.save_pretrained(str(folder), save_embedding_layers=False)  # else it asks the Hub
        (folder / "README.md").unlink(missing_ok=True)


def _transformer(model: SentenceTransformer) -> Any:
    return getattr(model[0], "model", None)
