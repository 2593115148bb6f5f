"""Distil a transformer into a static model: a vector for each token, whose mean is the vector of a text."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding
from tokenizers.normalizers import Lowercase, Sequence

from retune.core.errors import InputError
from retune.encoding.onnx_transformer import INSTALL
from retune.exporting.quiet import quiet_libraries
from retune.models.encoding_settings import Encoding

PACKAGES = ("model2vec", "skeletoken")  # the latter is what the former distils with
POOLINGS = {"mean": "mean", "cls": "first", "lasttoken": "last"}  # ours, and those of model2vec
LOG = logging.getLogger(__name__)


def distil(model: SentenceTransformer, folder: Path, dims: int | None, where: str) -> SentenceTransformer:
    """Return a static model whose vector of each token is what a transformer gives for that token alone.

    As model2vec does it: the vectors are rotated to their principal components (PCA), and tokens that are frequent,
    judging by their rank in the vocabulary, weigh less (smooth inverse frequency, Arora et al. 2017).

    Args:
        model: The transformer, in float32 on a CPU; it cannot be used afterwards.
        folder: Its directory, for messages.
        dims: The number of components to keep; None keeps all.
        where: The entry, for messages.

    Raises:
        InputError: A package is missing, the model cannot be distilled, or it has fewer dimensions.
    """
    _check_installed()
    pooling = _pooling(model, folder)
    transformer: Any = model[0]
    _check_sizes(model, folder, dims, where)
    from model2vec.distill import distill_from_model

    with quiet_libraries():
        distilled = distill_from_model(
            transformer.auto_model,
            model.tokenizer,
            device="cpu",
            pca_dims=dims or "auto",
            quantize_to="float32",
            pooling=pooling,
        )
    tokenizer, vectors = distilled.tokenizer, distilled.embedding
    if dims is not None and vectors.shape[1] != dims:
        raise InputError(
            f"{where}.dims: expected fewer dimensions than the model's {len(vectors):,} tokens, got {dims}; lower it"
        )
    if getattr(transformer, "do_lower_case", False):
        tokenizer.normalizer = Sequence([Lowercase(), *filter(None, [tokenizer.normalizer])])
    LOG.info("%s: %s tokens distilled to %d dimensions", folder, f"{len(vectors):,}", vectors.shape[1])
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors)], device="cpu")


def without_prefixes(encoding: Encoding) -> Encoding:
    """Return how a static model reads texts: a prefix would add the same to every vector."""
    return encoding.model_copy(update={"query_prefix": "", "query_suffix": "", "document_prefix": ""})


def _check_installed() -> None:
    if missing := [package for package in PACKAGES if importlib.util.find_spec(package) is None]:
        raise InputError(f"static: expected the package {missing[0]}, found none; run {INSTALL}")


def _check_sizes(model: SentenceTransformer, folder: Path, dims: int | None, where: str) -> None:
    """Check that the model has as many dimensions as are kept, and a vector for each token of its tokenizer."""
    transformer: Any = model[0]
    dim = int(transformer.get_embedding_dimension())
    if dims is not None and dims > dim:
        raise InputError(f"{where}.dims: expected at most the model's {dim} dimensions, got {dims}; lower it")
    rows = transformer.auto_model.get_input_embeddings().num_embeddings
    if len(model.tokenizer) > rows:
        raise InputError(
            f"{folder}: expected a model that knows all {len(model.tokenizer):,} tokens of its tokenizer, got one of "
            f"{rows:,} tokens; use format: safetensors"
        )


def _pooling(model: SentenceTransformer, folder: Path) -> str:
    """Return model2vec's name of the model's pooling."""
    modes = next((module.pooling_mode for module in model if isinstance(module, Pooling)), None)
    names = [modes] if isinstance(modes, str) else list(modes or ())
    if len(names) != 1 or names[0] not in POOLINGS:
        found = " and ".join(names) or "a static model"
        raise InputError(
            f"{folder}: expected a transformer with the pooling {', '.join(POOLINGS)}, got {found}; "
            "use format: safetensors"
        )
    return POOLINGS[names[0]]
