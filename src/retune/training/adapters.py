"""LoRA adapters (Hu et al., arXiv:2106.09685) on a sentence-transformers model: add, merge, save."""

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
from retune.encoding.loading import Model
from retune.params.methods import Lora


def add_lora(model: SentenceTransformer, lora: Lora, *, base: str, seed: int) -> None:
    """Freeze a model in place, and add trainable low-rank matrices to its linear layers.

    Args:
        model: A model whose first module is a transformer.
        lora: Describes the matrices.
        base: The name of the model, recorded in the adapter's config.
        seed: The seed of the matrices that are not initialised to zero.

    Raises:
        InputError: A name in `target_modules` is not the name of a linear layer.
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
            f"lora.target_modules: expected all-linear or names of linear layers ({', '.join(sorted(names))}), "
            f"got {', '.join(unknown)}; use these names"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer.model = get_peft_model(transformer.model, config)
    peft_config = transformer.model.peft_config["default"]
    peft_config.base_model_name_or_path = base
    peft_config.target_modules = sorted(peft_config.target_modules)  # a set, written in another order each time


def copy_whole(model: Model) -> Model:
    """Return a copy of a model in training for inference: adapter merged, no autocast."""
    transformer = _transformer(model)
    merged = {id(transformer): _merged(transformer)} if isinstance(transformer, PeftModel) else {}
    whole = copy.deepcopy(model, merged).eval()
    for name in ("forward", "_original_forward"):  # accelerate's wrapper
        whole.__dict__.pop(name, None)
    return whole


def _merged(adapted: PeftModel) -> Any:
    """Return a copy of a transformer with its adapter merged; a base in 4 bits is first reloaded in full precision."""
    base: Any = adapted.get_base_model()
    if not is_in_4bit(base):
        return copy.deepcopy(adapted).merge_and_unload()
    saved = type(base).from_pretrained(base.name_or_path, local_files_only=True, dtype="auto").to(base.device)
    config = copy.deepcopy(adapted.peft_config["default"])  # peft writes the path of the base into it
    unquantised = get_peft_model(saved, config, low_cpu_mem_usage=True)  # uses no random numbers
    weights = get_peft_model_state_dict(adapted, save_embedding_layers=False)  # otherwise it asks the Hub
    set_peft_model_state_dict(unquantised, weights, low_cpu_mem_usage=True)
    return unquantised.merge_and_unload()


def is_in_4bit(transformer: Any) -> bool:
    """Return whether a transformer was loaded in 4 bits."""
    return bool(getattr(transformer, "is_loaded_in_4bit", False))


def save_adapter(model: SentenceTransformer, folder: Path) -> None:
    """Write a model's adapter, if it has one, as peft does, but without peft's model card."""
    transformer = _transformer(model)
    if isinstance(transformer, PeftModel):
        transformer.save_pretrained(str(folder), save_embedding_layers=False)  # otherwise it asks the Hub
        (folder / "README.md").unlink(missing_ok=True)


def _transformer(model: torch.nn.Sequential) -> Any:
    return getattr(model[0], "model", None)
