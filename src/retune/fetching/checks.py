"""Check that a base model is complete, can be used as it is saved, and is written without a silent change."""

import logging
from pathlib import Path
from typing import cast

import numpy as np
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding

from retune.core.errors import InputError
from retune.encoding.tokenizing import Tokenizer
from retune.models.architecture import is_causal, num_positions
from retune.models.directory import (
    PIPELINE,
    first_module,
    load_model,
    pair_max_length,
    read_json,
    read_modules,
)
from retune.models.encoding_settings import Encoding, Role

LOG = logging.getLogger(__name__)

ADAPTER = "adapter_config.json"
UNSUITED_TO_DECODERS = {"mean", "cls", "mean_sqrt_len_tokens"}  # they use tokens that have not seen the whole text
KINDS = (None, "SentenceTransformer", "CrossEncoder")
FIRST_MODULES = ("Transformer", "StaticEmbedding")
LATER_MODULES = (
    *("Pooling", "Dense", "Normalize", "LayerNorm", "Dropout"),
    *("WordWeights", "WeightedLayerPooling"),
)
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
PROBES = ("What is an Array?", "The sum of a matrix; SORT it.")
MAX_DIFFERENCE = 1e-3  # of cosines; both vectors come from the same weights in the same number format


def check_no_adapter(folder: Path, where: str) -> None:
    """Refuse a LoRA adapter, which is not a model without its base."""
    if any((place / ADAPTER).is_file() for place in (folder, first_module(folder)[1])):
        raise InputError(
            f"{where}: expected a complete model, got a LoRA adapter in {folder} ({ADAPTER}); merge it into its base "
            "with python -m stages.merge_adapter"
        )


def check_layout(folder: Path, where: str) -> None:
    """Refuse a folder of another kind of model, and modules whose weights are pickles or whose code is not loaded."""
    if (kind := read_json(folder / PIPELINE).get("model_type")) not in KINDS:
        raise InputError(f"{where}: expected an embedding model or a cross-encoder, got a {kind} in {folder}")
    if (first := first_module(folder)[0]) not in FIRST_MODULES:
        raise InputError(
            f"{where}: expected a first module {' or '.join(FIRST_MODULES)} in {folder}/modules.json, got {first}"
        )
    if others := [kind for kind, _ in read_modules(folder)[1:] if kind not in LATER_MODULES]:
        # of CNN and LSTM, a text's vector depends on the batch
        raise InputError(f"{where}: expected modules of {', '.join(LATER_MODULES)} in {folder}, got {others[0]}")
    _check_modules(folder, where)


def _check_modules(folder: Path, where: str) -> None:
    for kind, path in read_modules(folder):
        config = read_json(path / "config.json")
        activation = str(config.get("activation_function", "torch."))
        if kind == "Dense" and not activation.startswith("torch."):
            raise InputError(
                f"{where}: expected an activation function of torch in {path}/config.json, got {activation}, whose "
                "code is not run here; use another model"
            )
        if kind == "Pooling" and not config:
            raise InputError(f"{where}: expected a pooling config in {path}/config.json, found none; add it")
        files = [file.name for file in sorted(path.glob("*")) if file.suffix in PICKLES]
        if files and not list(path.glob("*.safetensors")):
            raise InputError(
                f"{where}: expected weights as *.safetensors in {path}, got the pickle {files[0]}; convert the model "
                "first, as docs/fetch.md shows"
            )


def check_prompts(model: SentenceTransformer | CrossEncoder, encoding: Encoding, where: str) -> None:
    """Refuse prefixes of a model whose pooling leaves prompts out, because here prefixes are part of the text."""
    prefixes = [name for name in ("query_prefix", "document_prefix") if getattr(encoding, name)]
    if prefixes and not all(module.include_prompt for module in model if isinstance(module, Pooling)):
        raise InputError(
            f"{where}.{prefixes[0]}: expected none, as the pooling config of the model leaves prompts out "
            f"(include_prompt: false), got {getattr(encoding, prefixes[0])!r}; remove it, or use another model"
        )


def probe(model: SentenceTransformer, encoding: Encoding) -> np.ndarray:
    """Return the unit vectors that sentence-transformers gives for short texts, before a model is changed."""
    if not isinstance(model[0], StaticEmbedding):
        model.max_seq_length = max(encoding.query_max_length, encoding.document_max_length)
    model.truncate_dim = None
    texts = [prefix + text for prefix in (encoding.query_prefix, encoding.document_prefix) for text in PROBES]
    vectors = [model.encode([text], prompt="", normalize_embeddings=True, show_progress_bar=False) for text in texts]
    return np.concatenate(vectors)


@torch.inference_mode()
def check_written(folder: Path, encoding: Encoding, expected: np.ndarray, where: str) -> None:
    """Refuse a written model with other vectors than its source, or that is used otherwise here than by itself.

    Args:
        folder: The written model.
        encoding: Its encoding settings.
        expected: The result of `probe` for its source.
        where: The entry, for messages.
    """
    model = load_model(folder, "cpu").eval()
    longest = max(encoding.query_max_length, encoding.document_max_length)
    changes = {"query_suffix": "", "query_max_length": longest, "document_max_length": longest}
    tokenizer = Tokenizer(model.tokenizer, encoding.model_copy(update=changes))
    references = iter(torch.from_numpy(expected).float())
    for role, prefix, encode in (
        ("queries", encoding.query_prefix, model.encode_query),
        ("documents", encoding.document_prefix, model.encode_document),
    ):
        for text in PROBES:
            before = next(references)
            token_ids, _ = tokenizer.tokenize([prefix + text], cast(Role, role))
            if not token_ids[0]:
                continue  # a static model that knows none of the words
            features = tokenizer.features(token_ids, len(token_ids[0]), model.device)
            ours = model(features)["sentence_embedding"][0].float()
            if len(ours) != model.get_embedding_dimension():
                raise InputError(
                    f"{where}: expected vectors of {model.get_embedding_dimension()} dimensions, as the configuration "
                    f"of the model says, got {len(ours)}; correct the configuration of its last module"
                )
            theirs = torch.as_tensor(encode([text])[0]).float()
            if ours.any() and _differ(before, theirs):
                raise InputError(
                    f"{where}: expected a written model that gives the vectors of its source, got other ones for "
                    f"{role}; use another model"
                )
            if ours.any() and _differ(ours, theirs):
                raise InputError(
                    f"{where}: expected a model that gives the same vectors here and by encode_query and "
                    f"encode_document of sentence-transformers, got different ones for {role}; use another model"
                )


def _differ(first: torch.Tensor, second: torch.Tensor) -> bool:
    return not torch.nn.functional.cosine_similarity(first, second, dim=0) > 1 - MAX_DIFFERENCE  # also if not finite


def check_pooling(model: SentenceTransformer | CrossEncoder, mode: str | None, where: str) -> None:
    """Refuse poolings of a decoder that use tokens which have not seen the whole text."""
    if mode and UNSUITED_TO_DECODERS & {*mode.split("+")} and is_causal(model):
        raise InputError(
            f"{where}.pooling: expected lasttoken, as a decoder's token sees only the tokens before it, got {mode}; "
            f"write lasttoken, or fix the pooling config of the model folder if {mode} comes from there"
        )


def check_ending(model: SentenceTransformer | CrossEncoder, folder: Path, mode: str | None, where: str) -> None:
    """Log which token last-token pooling reads, and refuse a tokenizer that lacks the ending its config names."""
    if mode != "lasttoken":
        return
    tokenizer = model.tokenizer
    last = tokenizer(PROBES[0])["input_ids"][-1]
    is_added = last != tokenizer(PROBES[0], add_special_tokens=False)["input_ids"][-1]
    token = tokenizer.convert_ids_to_tokens(last)
    config = first_module(folder)[1] / "tokenizer_config.json"
    if read_json(config).get("add_eos_token") and not is_added:
        raise InputError(
            f"{where}: expected each text to end in {tokenizer.eos_token or 'an end token'}, as add_eos_token in "
            f"{config} says, got {token}, as this version of transformers adds none; add it to the "
            "post_processor of tokenizer.json"
        )
    read = f"{token}, which ends each text" if is_added else "the text's own last token; none is added"
    LOG.info("%s: last-token pooling reads %s", where, read)


def check_lengths(model: SentenceTransformer | CrossEncoder, encoding: Encoding, where: str) -> None:
    """Refuse maximum lengths that leave no room for the text or exceed the model's positions."""
    if isinstance(model[0], StaticEmbedding):
        return  # static models have neither positions nor special tokens
    positions = num_positions(model)
    special = model.tokenizer.num_special_tokens_to_add()
    suffix = len(model.tokenizer(encoding.query_suffix, add_special_tokens=False)["input_ids"])
    for name, needed in (("query_max_length", special + suffix + 1), ("document_max_length", special + 1)):
        if getattr(encoding, name) < needed:
            raise InputError(
                f"{where}.{name}: expected at least {needed} tokens, special tokens and suffix included, "
                f"got {getattr(encoding, name)}"
            )
        if positions is not None and getattr(encoding, name) > positions:
            raise InputError(
                f"{where}.{name}: expected at most the model's {positions} positions, got {getattr(encoding, name)}"
            )
    limit = model.tokenizer.model_max_length
    if isinstance(model, CrossEncoder) and pair_max_length(encoding) > limit:
        raise InputError(
            f"{where}: expected query_max_length and document_max_length to add up to at most {limit}, as the "
            f"cross-encoder reads both at once, got {encoding.query_max_length} + {encoding.document_max_length}"
        )
