"""Tiny models of every kind, to make systems of."""

from pathlib import Path

from sentence_transformers import CrossEncoder

from retune.core.provenance import Origin, write_origins
from retune.fetching import fetch
from retune.models.directory import save_cross_encoder
from retune.models.encoding_settings import Encoding
from retune.params.fetch import Lexical
from tests.support.cross_encoders import save_tiny_cross_encoder


def write_cross_encoder(tiny_transformer: Path, folder: Path, *, dtype: str = "float32") -> Path:
    """Write a tiny cross-encoder as `fetch` does, with its origin; its raw files are beside it."""
    raw = save_tiny_cross_encoder(tiny_transformer, folder.with_name(f"{folder.name}_raw"))
    encoding = Encoding(query_max_length=32, document_max_length=32, pooling="as_saved", dtype=dtype)
    folder.mkdir()
    save_cross_encoder(CrossEncoder(str(raw), device="cpu"), encoding, folder)
    write_origins(folder, [Origin("model", folder.name, "MIT", "made for a test", "")])
    return folder


def write_bm25(folder: Path) -> Path:
    """Write BM25 as `fetch` does."""
    fetch.fetch(Lexical(source="bm25"), folder, where="x")
    return folder
