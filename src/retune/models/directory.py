"""Read and write model directories: a standard sentence-transformers directory with the settings in retune.json."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from safetensors import SafetensorError

from retune.core.errors import InputError
from retune.core.files import write_json
from retune.models.encoding_settings import Encoding
from retune.models.endpoint import is_endpoint
from retune.models.vector_table import is_vector_table

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from transformers import BitsAndBytesConfig

SETTINGS = "retune.json"
LEXICAL = "bm25.json"  # the only file of BM25
SYSTEM = "system.json"  # of a system of two models, whose directories are beside it
K1, B = 1.5, 0.75  # parameters of BM25, written to that file
ONNX = "onnx/model.onnx"  # of an export; it takes the place of the transformer's weights
PIPELINE = "config_sentence_transformers.json"
STATIC = "StaticEmbedding"  # the first module of a static model: a table of token vectors instead of a transformer


def read_encoding(folder: Path) -> Encoding:
    """Return the settings by which the model in `folder` reads texts."""
    path = folder / SETTINGS
    if is_lexical(folder):
        raise InputError(
            f"{folder}: expected an embedding model, got BM25, which has no vectors; only eval, predict, rerank and "
            "fuse accept it"
        )
    _check_one(folder)
    if is_vector_table(folder):
        raise InputError(
            f"{folder}: expected an embedding model, got a table of vectors; only loss embed_distill uses it, as guide"
        )
    if not path.is_file():
        raise InputError(f"{path}: expected a model written by fetch or finetune, found no such file; run that stage")
    try:
        return Encoding.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected settings, got: {reason}; run the stage that writes it again") from None


def is_lexical(folder: Path) -> bool:
    """Return whether a folder represents BM25, which ranks by words and has no vectors."""
    return (folder / LEXICAL).is_file()


def is_system(folder: Path) -> bool:
    """Return whether a folder holds a system of two models, as the stages `rerank` and `fuse` write it."""
    return (folder / SYSTEM).is_file()


def is_onnx(folder: Path) -> bool:
    """Return whether a model's transformer is an ONNX file, as the stage `export` writes it."""
    return (folder / ONNX).is_file()


def is_cross_encoder(folder: Path) -> bool:
    """Return whether a model is a cross-encoder, judging by its files; otherwise, it is taken for an embedding model.

    sentence-transformers writes modules.json for both kinds and the kind into another file; without modules.json, the
    architecture in config.json decides.
    """
    if (folder / "modules.json").is_file():
        return bool(read_json(folder / PIPELINE).get("model_type") == "CrossEncoder")
    architectures = read_json(folder / "config.json").get("architectures") or [""]
    return bool(architectures[0].endswith("ForSequenceClassification"))


def first_module(folder: Path) -> tuple[str, Path]:
    """Return the class of a model's first module, which reads the tokens, and the folder of its weights."""
    return read_modules(folder)[0]


def read_modules(folder: Path) -> list[tuple[str, Path]]:
    """Return the class of each of a model's modules and the folder of its weights and configuration."""
    path = folder / "modules.json"
    if not path.is_file():
        return [("Transformer", folder)]
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        modules[0]  # there is at least one
        return [(str(module["type"]).rpartition(".")[2], folder / str(module["path"])) for module in modules]
    except (ValueError, LookupError, TypeError):
        raise InputError(
            f"{path}: expected a list of modules as sentence-transformers writes it, got something else; "
            "save the model again"
        ) from None


def check_kind(folder: Path, *, is_pair_scorer: bool) -> None:
    """Check that a model is a cross-encoder if `is_pair_scorer`, and an embedding model otherwise."""
    _check_one(folder)
    if is_cross_encoder(folder) and not is_pair_scorer:
        raise InputError(
            f"{folder}: expected an embedding model, got a cross-encoder; name it as mine.<name>.scorer or "
            "rerank.<name>.reranker"
        )
    if is_pair_scorer and not is_cross_encoder(folder):
        raise InputError(f"{folder}: expected a cross-encoder, got another model")


def _check_one(folder: Path) -> None:
    if is_system(folder):
        raise InputError(f"{folder}: expected one model, got a system of two; name one of them")


def load_model(
    folder: Path, device: str, *, attention: str | None = None, quantization: BitsAndBytesConfig | None = None
) -> SentenceTransformer:
    """Load an embedding model without network access or remote code; weights keep their saved type.

    Args:
        folder: A sentence-transformers directory.
        device: `cpu`, `cuda` or `mps`.
        attention: transformers' name of the attention implementation, or None for its default.
        quantization: The quantization of linear layers, or None.

    Raises:
        InputError: It is a cross-encoder or an ONNX export, or cannot be loaded.
    """
    from sentence_transformers import SentenceTransformer

    check_kind(folder, is_pair_scorer=False)
    if is_onnx(folder) or is_endpoint(folder):
        kind = "an ONNX export" if is_onnx(folder) else "an endpoint"
        raise InputError(f"{folder}: expected a model with weights, got {kind}; name another")
    chosen = {"attn_implementation": attention, "quantization_config": quantization}
    model_kwargs = {name: value for name, value in chosen.items() if value is not None}
    with errors_of_loading(folder):
        return SentenceTransformer(str(folder), device=device, local_files_only=True, model_kwargs=model_kwargs)


def load_cross_encoder(folder: Path, device: str) -> CrossEncoder:
    """Load a cross-encoder without network access or remote code.

    Raises:
        InputError: It is not a cross-encoder, or cannot be loaded.
    """
    from sentence_transformers import CrossEncoder

    check_kind(folder, is_pair_scorer=True)
    with errors_of_loading(folder):
        model: CrossEncoder = CrossEncoder(str(folder), device=device, local_files_only=True)
    return model


def save_model(model: SentenceTransformer, encoding: Encoding, folder: Path) -> None:
    """Write a directory that sentence-transformers can load by itself.

    Prefixes become its prompts, vectors are normalised, and build names, which differ between machines, are removed.
    By itself, sentence-transformers gives the same vectors for texts within both maximum lengths. But it has one
    maximum length, which is set to the longer of the two, and no query suffix; retune.json has both lengths and the
    suffix.
    """
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    if not isinstance(model[-1], Normalize):
        model.append(Normalize())
    model.prompts = {"query": encoding.query_prefix, "document": encoding.document_prefix}
    model.default_prompt_name = None  # it named one of the prompts that were replaced
    model.similarity_fn_name = "cosine"
    model.truncate_dim = None
    if not isinstance(model[0], StaticEmbedding):  # static models have no maximum length
        model.max_seq_length = max(encoding.query_max_length, encoding.document_max_length)
    _save(model, encoding, folder)


def save_cross_encoder(model: CrossEncoder, encoding: Encoding, folder: Path) -> None:
    """Write a directory that sentence-transformers can load as a cross-encoder.

    The query prefix becomes its default prompt, which is put before the first text of a pair. sentence-transformers
    has no setting for the document prefix, which is only in retune.json.
    """
    model.prompts = {"query": encoding.query_prefix}
    model.default_prompt_name = "query" if encoding.query_prefix else None
    model.max_seq_length = pair_max_length(encoding)
    _save(model, encoding, folder)


def pair_max_length(encoding: Encoding) -> int:
    """Return the maximum number of tokens of a query and a document together, as a cross-encoder reads them."""
    return encoding.query_max_length + encoding.document_max_length


def quiet_libraries() -> None:
    """Silence what the libraries say while a model loads or is saved, unless TRANSFORMERS_VERBOSITY is set.

    These are progress bars of a second, reports on weights that are not used, and advice on tokenizers; fetch refuses a
    model that lacks weights.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        logging.getLogger("sentence_transformers.base.model").setLevel(logging.ERROR)  # the default prompt is ours


@contextmanager
def errors_of_loading(folder: Path) -> Iterator[None]:
    """Turn errors of the libraries that load a model into an InputError."""
    quiet_libraries()
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{folder}: expected a model, got: {reason}; run the stage that writes it again") from None


def _save(model: SentenceTransformer | CrossEncoder, encoding: Encoding, folder: Path) -> None:
    quiet_libraries()
    tokenizer = getattr(model.tokenizer, "backend_tokenizer", model.tokenizer)  # the latter in static models
    tokenizer.no_truncation()  # otherwise the saved file depends on what was encoded last
    tokenizer.no_padding()
    model.save_pretrained(str(folder), create_model_card=False)
    _drop_build_names(folder / PIPELINE)
    if getattr(model[0], "do_lower_case", False):  # the saved tokenizer forgets it when it is loaded again
        path = folder / str(model[0].config_file_name)
        write_json(path, read_json(path) | {"do_lower_case": True})
    write_json(folder / SETTINGS, encoding.model_dump())


def _drop_build_names(path: Path) -> None:
    """Remove local suffixes such as `+cpu` from the recorded versions of libraries."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["__version__"] = {name: version.split("+")[0] for name, version in config["__version__"].items()}
    write_json(path, config)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty object if there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, got: {error}; fetch the model again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object, got {type(content).__name__}; fetch the model again")
    return content
