"""Models whose transformer is an ONNX file: ONNX Runtime computes the token vectors, on a CPU."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers.normalizers import Lowercase, Sequence

from retune.core.errors import InputError
from retune.models.directory import ONNX, read_json

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

RUNTIME = "onnxruntime"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # the last only where the tokenizer has it
OUTPUT = "token_embeddings"
INSTALL = ".venv/bin/python -m pip install --requirement requirements-export.txt"


def check_installed(packages: Iterable[str]) -> None:
    """Check that the packages of ONNX models are installed.

    Raises:
        InputError: One is missing.
    """
    if missing := [package for package in packages if importlib.util.find_spec(package) is None]:
        raise InputError(f"ONNX: expected the package {missing[0]}, found none; run {INSTALL}")


def load_onnx_model(folder: Path) -> SentenceTransformer:
    """Load a model directory whose transformer is an ONNX file, on a CPU."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import import_from_string

    check_installed([RUNTIME])
    _, *later = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    classes: list[Any] = [import_from_string(module["type"]) for module in later]
    modules = [
        kind.load(str(folder), subfolder=module["path"], local_files_only=True)
        for kind, module in zip(classes, later, strict=True)
    ]
    return SentenceTransformer(modules=[OnnxTransformer(folder), *modules], device="cpu")


class OnnxTransformer(torch.nn.Module):
    """Takes the place of a model's transformer.

    Each text is run by itself, without padding, on one thread; the threads take different texts. So a vector depends
    neither on other texts, although dynamic quantisation scales all activations of a call alike, nor on the threads.

    Attributes:
        tokenizer: The model's tokenizer.
    """

    def __init__(self, folder: Path) -> None:
        """Load the file and the tokenizer of a model directory."""
        import onnxruntime
        from transformers import AutoTokenizer

        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = str(folder / ONNX)
        self._session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._threads = ThreadPoolExecutor(torch.get_num_threads())
        self.tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        if read_json(folder / "sentence_bert_config.json").get("do_lower_case"):
            backend = self.tokenizer.backend_tokenizer
            backend.normalizer = Sequence([Lowercase(), *filter(None, [backend.normalizer])])

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Add the token vectors, (texts, tokens, dim); those of padding are zero."""
        mask = features["attention_mask"].bool()
        rows = list(self._threads.map(self._run_one, features["input_ids"], mask))
        vectors = torch.zeros(*mask.shape, rows[0].shape[1])
        for row, place, found in zip(vectors, mask, rows, strict=True):
            row[place] = found
        return features | {OUTPUT: vectors}

    def get_embedding_dimension(self) -> int:
        """Return the dimensions of a token vector."""
        return int(self._session.get_outputs()[0].shape[-1])

    def _run_one(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the token vectors of a text, (tokens, dim)."""
        ids = input_ids[mask][None]
        values = dict(zip(INPUTS, (ids, torch.ones_like(ids), torch.zeros_like(ids)), strict=True))
        [found] = self._session.run([OUTPUT], {name: values[name].numpy() for name in self._inputs})
        return torch.from_numpy(found[0])
