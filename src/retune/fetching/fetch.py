"""Fetch a base model: one with weights, BM25, or a table of vectors."""

from pathlib import Path

from retune.core.files import atomic_directory, write_json
from retune.models.directory import K1, LEXICAL, B
from retune.params.fetch import Fetch, Lexical, Vectors


def fetch(params: Fetch | Lexical | Vectors, out: Path, *, where: str) -> None:
    """Write the model's directory to `out`; that of BM25 contains just one JSON file.

    Raises:
        InputError: The model cannot be used; see `fetch_base_model` and `fetch_vectors`.
    """
    if isinstance(params, Vectors):
        from retune.fetching.vectors import fetch_vectors

        return fetch_vectors(params, out, where=where)
    if isinstance(params, Lexical):
        with atomic_directory(out) as partial:
            write_json(partial / LEXICAL, {"ranking": "bm25", "k1": K1, "b": B})
        return
    from retune.fetching.base_model import fetch_base_model

    fetch_base_model(params, out, where=where)
