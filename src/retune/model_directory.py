"""A model on disk: a standard sentence-transformers directory and retune.json, how texts enter it."""

import json
from pathlib import Path

from pydantic import ValidationError
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize
from transformers.utils import logging as transformers_logging

from retune.errors import InputError
from retune.files import write_json
from retune.params.fetch import Encoding

SETTINGS = "retune.json"

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # of loading and saving, a second each


def read_encoding(folder: Path) -> Encoding:
    """Return how texts enter the model in `folder`."""
    path = folder / SETTINGS
    if not path.is_file():
        raise InputError(f"{path}: expected a model written by fetch or finetune, found no such file; run that stage")
    try:
        return Encoding.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}; run the stage that writes it again") from None


def load_model(folder: Path, device: str, *, attention: str | None = None) -> SentenceTransformer:
    """Load a model directory without network or remote code, weights as they are saved.

    Args:
        folder: A sentence-transformers directory.
        device: `cpu`, `cuda` or `mps`.
        attention: transformers' name of the attention code, or None for its choice.
    """
    model_kwargs = {} if attention is None else {"attn_implementation": attention}
    return SentenceTransformer(str(folder), device=device, local_files_only=True, model_kwargs=model_kwargs)


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
    model.max_seq_length = max(encoding.query_max_length, encoding.document_max_length)
    model.tokenizer.backend_tokenizer.no_truncation()  # else the file tells what was encoded last
    model.tokenizer.backend_tokenizer.no_padding()
    model.save_pretrained(str(folder), create_model_card=False)
    _drop_build_names(folder / "config_sentence_transformers.json")
    write_json(folder / SETTINGS, encoding.model_dump())


def _drop_build_names(path: Path) -> None:
    """Cut local suffixes such as `+cpu` from the library versions recorded."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["__version__"] = {name: version.split("+")[0] for name, version in config["__version__"].items()}
    write_json(path, config)
