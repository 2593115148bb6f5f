"""Write a transformer as an ONNX file, in float32 or with weights quantised to int8."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer

from retune.core.errors import InputError
from retune.encoding.onnx_transformer import INPUTS, OUTPUT, RUNTIME, check_installed
from retune.exporting.quiet import quiet_libraries

PACKAGES = ("onnx", "onnxscript", RUNTIME)
ARCHITECTURES = ("bert", "distilbert", "mpnet", "roberta", "xlm-roberta")  # those that are tested
MOST_BYTES = 2**31 - 2**20  # of a file in the format of ONNX; larger weights go into a file beside it
WEIGHTS = ".data"


def check_exportable(model: SentenceTransformer, folder: Path) -> None:
    """Check that what writes ONNX is installed, and knows the model's architecture.

    Raises:
        InputError: It is not, or it does not.
    """
    check_installed(PACKAGES)
    kind = getattr(getattr(getattr(model[0], "auto_model", None), "config", None), "model_type", "static")
    if kind not in ARCHITECTURES:
        raise InputError(
            f"{folder}: expected an architecture that is tested with ONNX ({', '.join(ARCHITECTURES)}), got {kind!r}; "
            "use format: safetensors"
        )


def write_onnx(model: SentenceTransformer, path: Path, *, quantize: bool) -> None:
    """Write a model's transformer; what follows it, such as pooling, is not in the file.

    The quantisation is dynamic: weights are int8, with a scale for each row, and activations get their scale from each
    text that is run.

    Args:
        model: A model on a CPU in float32, with attention `eager`.
        path: The file to write.
        quantize: Whether to quantise.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path.parent.mkdir(parents=True)
    if not quantize:
        _write_float32(model, path)
        return
    with quiet_libraries(), tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        plain = Path(scratch) / path.name
        _write_float32(model, plain)
        is_large = plain.with_name(plain.name + WEIGHTS).exists()
        quantize_dynamic(plain, path, per_channel=True, weight_type=QuantType.QInt8, use_external_data_format=is_large)


def _write_float32(model: SentenceTransformer, path: Path) -> None:
    """Write the file without what differs between machines, such as the paths of source files."""
    inputs = [name for name in INPUTS if name in {*model.tokenizer.model_input_names, *INPUTS[:2]}]
    shape = (2, 7)  # no dimension of 1, which would be taken for fixed
    texts, tokens = torch.export.Dim("texts"), torch.export.Dim("tokens")
    with quiet_libraries(), torch.inference_mode():
        program: Any = torch.onnx.export(
            _TokenVectors(model).eval(),
            tuple(torch.ones(shape, dtype=torch.int64) for _ in inputs),  # one tensor would be taken for one input
            dynamo=True,
            input_names=inputs,
            output_names=[OUTPUT],
            dynamic_shapes=(tuple({0: texts, 1: tokens} for _ in inputs),),
            verbose=False,
        )
    for node in program.model.graph:
        node.metadata_props.clear()
        node.doc_string = None
    size = sum(weights.nbytes for weights in model[0].parameters())
    program.save(str(path), external_data=size > MOST_BYTES)


class _TokenVectors(torch.nn.Module):
    """The transformer alone: token ids to token vectors."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self._transformer: Any = model[0].auto_model

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self._transformer(**dict(zip(INPUTS, values, strict=False))).last_hidden_state
        return vectors
