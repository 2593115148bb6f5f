"""Fetch a base model: one with weights, BM25, a table of vectors, or an endpoint."""

from importlib import import_module
from pathlib import Path

from retune.core.files import atomic_directory, write_json
from retune.models.directory import K1, LEXICAL, B
from retune.params.fetch import Endpoint, Entry, Lexical, Vectors


def fetch(params: Entry, out: Path, *, where: str) -> None:
    """Write the model's directory to `out`; that of BM25 contains just one JSON file.

    Raises:
        InputError: The model cannot be used; see `fetch_base_model`, `fetch_vectors` and `fetch_endpoint`.
    """
    if isinstance(params, Vectors):
        from retune.fetching.vectors import fetch_vectors

        return fetch_vectors(params, out, where=where)
    if isinstance(params, Endpoint):
        # by name: an edit of what talks to servers makes DVC fetch no model again
        import_module("retune.fetching.endpoint").fetch_endpoint(params, out, where=where)
        return
    if isinstance(params, Lexical):
        with atomic_directory(out) as partial:
            write_json(partial / LEXICAL, {"ranking": "bm25", "k1": K1, "b": B})
        return
    from retune.fetching.base_model import fetch_base_model

    fetch_base_model(params, out, where=where)
