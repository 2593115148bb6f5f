"""Export a model: write it in another format, reload it, and keep it only if its vectors are those of the model.

The vectors of a static model are in another space, so only the verdict on test queries can judge them.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize

from retune.core.errors import InputError
from retune.core.files import atomic_directory
from retune.core.records import DECIMALS
from retune.encoding.encoder import Encoder
from retune.exporting.card import parity_in_words, write_card
from retune.exporting.onnx_format import check_exportable, write_onnx
from retune.exporting.parity import Texts, check_parity, cosines, draw_texts, encode_in_new_process
from retune.exporting.static_format import distil, without_prefixes
from retune.exporting.task import Task
from retune.models.directory import ONNX, first_module, load_model, read_encoding, save_model
from retune.models.scope import check_unscoped
from retune.models.size import count_parameters

LOG = logging.getLogger(__name__)
MB = 1_000_000
UNCOMPARED = 1000  # texts that a static model must have vectors of


def export(task: Task, out: Path) -> dict[str, Any]:
    """Write a model in another format to `out`, unless it breaks a limit of its entry.

    Returns:
        Its size and its cosines with the model, beside the limits, for a file of metrics.

    Raises:
        InputError: The model is made for one data set, or cannot be written in this format, or a limit is broken; then
            nothing is left behind.
    """
    check_unscoped(task.model)
    where, params = f"params.yaml: export.{out.name}", task.params
    texts = draw_texts(task.dataset, params.parity.texts if params.parity else UNCOMPARED, task.seed)
    with atomic_directory(out) as partial:
        _write(task, partial, where)
        size = _megabytes(partial)
        if params.max_mb is not None and size > params.max_mb:
            raise InputError(
                f"{where}.max_mb: expected at most {params.max_mb:g} MB, got {size:.1f} MB, "
                f"{size - params.max_mb:.1f} MB too many; choose a narrower dtype, or raise the limit"
            )
        found = encode_in_new_process(partial, texts, task.compute)
        measured: dict[str, Any] = {
            "format": params.format,
            "dtype": params.dtype,
            "dims": found.shape[1],
            "megabytes": round(size, 3),
            "parameters": count_parameters(task.model if params.format == "onnx" else partial),
            "texts": {"documents": len(texts.documents), "queries": len(texts.queries)},
            "cosine": _cosine(task, texts, found, where),
            "limits": (params.parity.model_dump() if params.parity else {}) | {"max_mb": params.max_mb},
        }
        write_card(partial, out.name, task, measured)
    LOG.info("%s: %.1f MB, %s", out.name, size, parity_in_words(task.model.name, measured))
    return measured


def _cosine(task: Task, texts: Texts, found: np.ndarray, where: str) -> dict[str, float] | None:
    """Return the least and the median cosine with the model's vectors, within the limits; None without limits."""
    if task.params.parity is None:
        return None
    values = cosines(texts.encode(Encoder.load(task.model, task.compute, dtype="float32")), found)
    check_parity(values, task.params.parity, where)
    return {"least": round(float(values.min()), DECIMALS), "median": round(float(np.median(values)), DECIMALS)}


def _write(task: Task, folder: Path, where: str) -> None:
    """Write the model's directory, without a card."""
    params, is_onnx = task.params, task.params.format == "onnx"
    model = load_model(task.model, "cpu", attention="eager" if is_onnx else None).eval()
    encoding = read_encoding(task.model).model_copy(update={"dtype": "float32" if is_onnx else params.dtype})
    if params.format == "static":
        model, encoding = distil(model.float(), task.model, params.dims, where), without_prefixes(encoding)
    elif params.dims is not None:
        _cut(model, params.dims, where)
    if is_onnx:
        check_exportable(model, task.model)
        save_model(model.float(), encoding, folder)
        for weights in first_module(folder)[1].glob("model*.safetensors*"):
            weights.unlink()
        write_onnx(model, folder / ONNX, quantize=params.dtype == "int8")
    else:
        save_model(model.to(getattr(torch, params.dtype)), encoding, folder)


def _cut(model: SentenceTransformer, dims: int, where: str) -> None:
    """Let a model keep the first dimensions: a linear module with ones on its diagonal, in front of normalisation."""
    dim = int(model.get_embedding_dimension() or 0)
    if dims > dim:
        raise InputError(f"{where}.dims: expected at most the model's {dim} dimensions, got {dims}; lower it")
    if isinstance(model[-1], Normalize):
        del model[-1]
    module = Dense(dim, dims, bias=False, activation_function=torch.nn.Identity())
    module.linear.weight.data = torch.eye(dims, dim)
    model.append(module)


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MB
