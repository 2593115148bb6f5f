"""Make a complete model of a base and a LoRA adapter that was saved while the base was tuned."""

import json
import warnings
from pathlib import Path
from typing import Any

from peft import PeftModel

from retune.core.errors import InputError
from retune.core.files import atomic_directory, sha256
from retune.models.directory import load_model, read_encoding, save_model

ADAPTER = "adapter_config.json"


def merge_adapter(adapter: Path, base: Path, out: Path) -> str:
    """Write base and adapter as one model, in 32 bits as it is trained, and return an entry for `fetch`.

    Args:
        adapter: The folder of the adapter, such as `models/<name>/adapters/epoch_4`.
        base: The model that it was trained on, such as `models/<base>`.
        out: The folder to write, which must not exist.

    Raises:
        InputError: The adapter is missing, of another base or damaged, or `out` exists.
    """
    if not (adapter / ADAPTER).is_file():
        raise InputError(f"{adapter}: expected a LoRA adapter, found no {ADAPTER}; name a folder below adapters/")
    if out.exists():
        raise InputError(f"{out}: expected a new folder, got one that exists; name another, or remove it")
    trained_on = json.loads((adapter / ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"]
    if trained_on != base.name:
        raise InputError(f"{adapter}: expected an adapter of {base.name}, got one of {trained_on}; name that as --base")
    encoding = read_encoding(base)
    model = load_model(base, "cpu").float()
    transformer: Any = model[0]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Found missing adapter keys")
            transformer.model = PeftModel.from_pretrained(transformer.model, str(adapter)).merge_and_unload()
    except (OSError, ValueError, RuntimeError, UserWarning) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{adapter}: expected an adapter that fits {base}, got: {reason}") from None
    with atomic_directory(out) as partial:
        save_model(model, encoding, partial)
    values = {"source": "path", "path": str(out), "sha256": sha256(out / "model.safetensors")}
    entry = json.dumps(values | encoding.model_dump(exclude_defaults=True), ensure_ascii=False)  # which is YAML, too
    return f"fetch:\n  {out.name}: {entry}"
