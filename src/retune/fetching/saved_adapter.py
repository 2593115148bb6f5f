"""Make a complete model of a base and a LoRA adapter that was saved while the base was tuned."""

import json
import shutil
from pathlib import Path
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from sentence_transformers.sentence_transformer.modules import Transformer

from retune.core.errors import InputError
from retune.core.files import atomic_directory, sha256
from retune.core.provenance import FILE
from retune.fetching.base_model import LOADING_ERRORS
from retune.fetching.checks import ADAPTER
from retune.models.directory import load_model, read_encoding, read_json, save_model

WEIGHTS = "adapter_model.safetensors"


def merge_adapter(adapter: Path, base: Path, out: Path) -> str:
    """Write base and adapter as one model, in 32 bits as it is trained, and return an entry for `fetch`.

    Args:
        adapter: The folder of the adapter, such as `models/<name>/adapters/epoch_4`.
        base: The model that it was trained on, such as `models/<base>`.
        out: The folder to write, which must not exist.

    Raises:
        InputError: The adapter is missing, incomplete or of another base, the base is no transformer, or `out` exists.
    """
    _check_adapter(adapter, base)
    if out.exists():
        raise InputError(f"{out}: expected a new folder, got one that exists; name another, or remove it")
    encoding = read_encoding(base)
    model = load_model(base, "cpu").float()
    transformer: Any = model[0]
    if not isinstance(transformer, Transformer):
        raise InputError(f"{base}: expected a transformer, got a {type(transformer).__name__}; name another --base")
    transformer.model = _merged(transformer.model, adapter, base)
    with atomic_directory(out) as partial:
        save_model(model, encoding, partial)
        for folder in adapter.absolute().parents:
            if (folder / FILE).is_file():  # origins of the tuned model, which the adapter lies in
                shutil.copy(folder / FILE, partial)
                break
    values = {"source": "path", "path": str(out), "sha256": sha256(out / "model.safetensors")}
    entry = json.dumps(values | encoding.model_dump(), ensure_ascii=False)  # JSON is YAML, too
    return f"fetch:\n  {out.name}: {entry}"


def _check_adapter(adapter: Path, base: Path) -> None:
    for name in (ADAPTER, WEIGHTS):
        if not (adapter / name).is_file():
            raise InputError(
                f"{adapter}: expected a LoRA adapter, found no {name}; name `adapter` or a folder in `adapters` of a "
                "tuned model"
            )
    config = read_json(adapter / ADAPTER)
    if config.get("peft_type") != "LORA":
        raise InputError(f"{adapter / ADAPTER}: expected peft_type LORA, got {config.get('peft_type')}")
    trained_on, name = config.get("base_model_name_or_path"), base.absolute().name
    if trained_on != name:
        raise InputError(f"{adapter}: expected an adapter of {name}, got one of {trained_on}; name that as --base")


def _merged(transformer: Any, adapter: Path, base: Path) -> Any:
    """Return a transformer with an adapter merged into it; peft would only warn of missing weights."""
    try:
        adapted = PeftModel.from_pretrained(transformer, str(adapter.absolute()))
        with safe_open(adapter / WEIGHTS, framework="pt") as weights:
            expected = get_peft_model_state_dict(adapted, save_embedding_layers=False)  # otherwise it asks the Hub
            differing = set(weights.keys()) ^ set(expected)
        if differing:
            raise ValueError(f"weights that only one of them has, such as {min(differing)}")
        return adapted.merge_and_unload()
    except LOADING_ERRORS as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = next((line.strip() for line in lines if "size mismatch" in line), lines[0])
        raise InputError(
            f"{adapter}: expected an adapter that fits {base}, got: {reason}; name the base that it was trained on, "
            "or train again"
        ) from None
