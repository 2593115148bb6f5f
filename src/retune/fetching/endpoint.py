"""Fetch an endpoint: ask for the vectors of a few texts, and keep them with the parameters."""

from pathlib import Path

import numpy as np

from retune.core.errors import InputError
from retune.core.files import atomic_directory, write_json
from retune.encoding.endpoint import address_of, options_of, probe_of, scaled
from retune.llm.embeddings import EmbeddingServer
from retune.models.directory import SETTINGS
from retune.models.encoding_settings import Encoding, Role
from retune.models.endpoint import ENDPOINT
from retune.params.fetch import Endpoint

ROLES: tuple[Role, ...] = ("documents", "queries")
UNLIMITED = 2**31 - 1  # tokens: the server cuts texts, or refuses them


def fetch_endpoint(params: Endpoint, out: Path, *, where: str) -> None:
    """Write the model directory of an endpoint to `out`.

    Raises:
        InputError: The server cannot be reached, has no such model, or does not reply with finite vectors that have a
            direction.
    """
    server = EmbeddingServer(address_of(params, out.name), params)
    probe = {role: _probe(server, params, role, where) for role in ROLES}
    dims = {vectors.shape[1] for vectors in probe.values()}
    if params.dimensions is not None:
        dims.add(params.dimensions)
    if len(dims) > 1:
        raise InputError(
            f"{where}: expected vectors of one number of dimensions, the one asked for if one is, got "
            f"{' and '.join(map(str, sorted(dims)))}; write dimensions: null, or ask the server's owner"
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
        kept = {role: rows.tolist() for role, rows in probe.items()}
        write_json(partial / ENDPOINT, {"entry": params.model_dump(mode="json"), "probe": kept})
        write_json(partial / SETTINGS, encoding.model_dump())


def _probe(server: EmbeddingServer, params: Endpoint, role: Role, where: str) -> np.ndarray:
    """Return the unit vectors of the probe in a role."""
    asked = server.embed(probe_of(params, role), options_of(params, role), texts_per_request=params.texts_per_request)
    rows, parts = zip(*asked, strict=True)
    if len({part.shape[1] for part in parts}) > 1:
        raise InputError(f"{where}: expected vectors of one number of dimensions, got several; ask the server's owner")
    vectors = scaled(np.concatenate(parts)[np.argsort(np.concatenate(rows))])
    if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
        raise InputError(f"{where}: expected vectors that are finite and not zero, got others; ask the server's owner")
    return vectors
