"""Fetch an endpoint: ask for the vectors of a few texts, and keep them with the parameters."""

from pathlib import Path

import numpy as np

from retune.core.errors import InputError
from retune.core.files import atomic_directory, write_json
from retune.encoding.endpoint import PROBE, address_of, options_of, scaled
from retune.llm.embeddings import EmbeddingServer
from retune.models.directory import SETTINGS
from retune.models.encoding_settings import Encoding
from retune.models.endpoint import ENDPOINT
from retune.params.fetch import Endpoint

UNLIMITED = 2**31 - 1  # tokens: the server cuts texts, or refuses them


def fetch_endpoint(params: Endpoint, out: Path, *, where: str) -> None:
    """Write the model directory of an endpoint to `out`.

    Raises:
        InputError: The server cannot be reached, has no such model, or does not reply with finite vectors that have a
            direction.
    """
    server = EmbeddingServer(address_of(params, out.name), params)
    rows, parts = zip(
        *server.embed(PROBE, options_of(params, "documents"), texts_per_request=params.texts_per_request), strict=True
    )
    if len({part.shape[1] for part in parts}) > 1:
        raise InputError(f"{where}: expected vectors of one number of dimensions, got {_numbers(parts)}; ask its owner")
    probe = scaled(np.concatenate(parts)[np.argsort(np.concatenate(rows))])
    if not np.isfinite(probe).all() or not probe.any(axis=1).all():
        raise InputError(f"{where}: expected vectors that are finite and not zero, got others; ask the server's owner")
    if params.dimensions not in (None, probe.shape[1]):
        raise InputError(
            f"{where}.dimensions: expected vectors of {params.dimensions} dimensions, got {probe.shape[1]}: the server "
            "does not shorten them; write null"
        )
    encoding = Encoding(
        query_prefix=params.query_prefix,
        document_prefix=params.document_prefix,
        query_max_length=UNLIMITED,
        document_max_length=UNLIMITED,
        pooling="as_saved",
        dtype="float32",
    )
    with atomic_directory(out) as partial:
        write_json(partial / ENDPOINT, {"entry": params.model_dump(mode="json"), "probe": probe.tolist()})
        write_json(partial / SETTINGS, encoding.model_dump())


def _numbers(parts: tuple[np.ndarray, ...]) -> str:
    return " and ".join(sorted({str(part.shape[1]) for part in parts}))
