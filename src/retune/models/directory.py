"""A model on disk: a standard sentence-transformers directory and retune.json, how texts enter it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from transformers import BitsAndBytesConfig
from transformers.utils import logging as transformers_logging

from retune.core.errors import InputError
from retune.core.files import write_json
from retune.models.encoding_settings import Encoding

SETTINGS = "retune.json"
LEXICAL = "bm25.json"  # the one file of a model that ranks by words
K1, B = 1.5, 0.75  # of BM25, written into it
PIPELINE = "config_sentence_transformers.json"

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # of loading and saving, a second each


def read_encoding(folder: Path) -> Encoding:
    """Return how texts enter the model in `folder`."""
    path = folder / SETTINGS
    if is_lexical(folder):
        raise InputError(
            f"{folder}: expected an embedding model, got BM25, which has no vectors; eval and predict alone take it"
        )
    if not path.is_file():
        raise InputError(f"{path}: expected a model written by fetch or finetune, found no such file; run that stage")
    try:
        return Encoding.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}; run the stage that writes it again") from None


def is_lexical(folder: Path) -> bool:
    """Tell whether a folder stands for BM25, which ranks by words and has no vectors."""
    return (folder / LEXICAL).is_file()


def is_cross_encoder(folder: Path) -> bool:
    """Tell from its files whether a model scores pairs of texts; if not, it is taken to embed one text.

    sentence-transformers writes modules.json for both and says in another file which it is; without them, the
    architecture of the weights says it.
    """
    if (folder / "modules.json").is_file():
        return bool(_read_json(folder / PIPELINE).get("model_type") == "CrossEncoder")
    architectures = _read_json(folder / "config.json").get("architectures") or [""]
    return bool(architectures[0].endswith("ForSequenceClassification"))


def first_module(folder: Path) -> tuple[str, Path]:
    """Return the class of the module that reads a model's tokens, and the folder of its weights."""
    path = folder / "modules.json"
    if not path.is_file():
        return "Transformer", folder
    try:
        module = json.loads(path.read_text(encoding="utf-8"))[0]
        return str(module["type"]).rpartition(".")[2], folder / str(module["path"])
    except (ValueError, LookupError, TypeError):
        raise InputError(f"{path}: expected a list of modules as sentence-transformers writes it") from None


def check_kind(folder: Path, *, is_pair_scorer: bool) -> None:
    """Refuse a cross-encoder where an embedding model is expected, and the other way round."""
    if is_cross_encoder(folder) and not is_pair_scorer:
        raise InputError(f"{folder}: expected an embedding model, got a cross-encoder; name it as mine.<name>.scorer")
    if is_pair_scorer and not is_cross_encoder(folder):
        raise InputError(f"{folder}: expected a cross-encoder, got another model")


def load_model(
    folder: Path, device: str, *, attention: str | None = None, quantization: BitsAndBytesConfig | None = None
) -> SentenceTransformer:
    """Load a model directory without network or remote code, weights as they are saved.

    Args:
        folder: A sentence-transformers directory.
        device: `cpu`, `cuda` or `mps`.
        attention: transformers' name of the attention code, or None for its choice.
        quantization: How linear layers are packed, or None.

    Raises:
        InputError: It is a cross-encoder, or does not load.
    """
    check_kind(folder, is_pair_scorer=False)
    chosen = {"attn_implementation": attention, "quantization_config": quantization}
    model_kwargs = {name: value for name, value in chosen.items() if value is not None}
    with _failure_in_one_line(folder):
        return SentenceTransformer(str(folder), device=device, local_files_only=True, model_kwargs=model_kwargs)


def load_cross_encoder(folder: Path, device: str) -> CrossEncoder:
    """Load a cross-encoder's directory as `load_model` loads an embedding model's.

    Raises:
        InputError: It is no cross-encoder, or does not load.
    """
    check_kind(folder, is_pair_scorer=True)
    with _failure_in_one_line(folder):
        model: CrossEncoder = CrossEncoder(str(folder), device=device, local_files_only=True)
    return model


def save_model(model: SentenceTransformer, encoding: Encoding, folder: Path) -> None:
    """Write a directory that plain sentence-transformers loads.

    Prefixes become its prompts, vectors are normalised, and what differs between machines is left out. Plain
    sentence-transformers gives the same vectors for texts within both lengths, but knows one length for queries
    and documents, the longer, and no query suffix: those live in retune.json alone.
    """
    if not isinstance(model[-1], Normalize):
        model.append(Normalize())
    model.prompts = {"query": encoding.query_prefix, "document": encoding.document_prefix}
    model.similarity_fn_name = "cosine"
    if not isinstance(model[0], StaticEmbedding):  # which reads all of a text
        model.max_seq_length = max(encoding.query_max_length, encoding.document_max_length)
    _save(model, encoding, folder)


def save_cross_encoder(model: CrossEncoder, encoding: Encoding, folder: Path) -> None:
    """Write a directory that sentence-transformers loads as a cross-encoder.

    The query prefix becomes its default prompt, which it puts before the first text of a pair. It has no place
    for the document prefix, which lives in retune.json alone.
    """
    model.prompts = {"query": encoding.query_prefix}
    model.default_prompt_name = "query" if encoding.query_prefix else None
    model.max_seq_length = pair_max_length(encoding)
    _save(model, encoding, folder)


def pair_max_length(encoding: Encoding) -> int:
    """Return how many tokens of a query and a document together enter a cross-encoder."""
    return encoding.query_max_length + encoding.document_max_length


@contextmanager
def _failure_in_one_line(folder: Path) -> Iterator[None]:
    """Say what the libraries find wrong with a directory's files."""
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{folder}: expected a model, got {reason}; run the stage that writes it again") from None


def _save(model: SentenceTransformer | CrossEncoder, encoding: Encoding, folder: Path) -> None:
    tokenizer = getattr(model.tokenizer, "backend_tokenizer", model.tokenizer)  # of a static model it is the latter
    tokenizer.no_truncation()  # else the file tells what was encoded last
    tokenizer.no_padding()
    model.save_pretrained(str(folder), create_model_card=False)
    _drop_build_names(folder / PIPELINE)
    write_json(folder / SETTINGS, encoding.model_dump())


def _drop_build_names(path: Path) -> None:
    """Cut local suffixes such as `+cpu` from the library versions recorded."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["__version__"] = {name: version.split("+")[0] for name, version in config["__version__"].items()}
    write_json(path, config)


def _read_json(path: Path) -> dict[str, Any]:
    """Return a file's object, empty if there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, got {error}; bring the model in again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object, got {type(content).__name__}; bring the model in again")
    return content
