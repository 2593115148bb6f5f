"""Run an endpoint on texts: it takes the place of `BatchRunner`, and refuses a server whose vectors have moved."""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from retune.core.errors import InputError
from retune.encoding.batch_runner import Runner
from retune.encoding.fingerprint import ModelFiles
from retune.encoding.tokenizing import Texts
from retune.llm.address import Address, check_key, check_url
from retune.llm.embeddings import EmbeddingServer
from retune.models.encoding_settings import Role
from retune.models.endpoint import read_endpoint
from retune.params.fetch import Endpoint

PROBE = (
    "What is the capital of Norway?",
    "how to sharpen a kitchen knife",
    "The train to the coast leaves at seven in the morning.",
    "A matrix is singular if its determinant is zero.",
    "error 404 after upgrading the web server",
    "Wie lange darf der Vermieter die Kaution behalten?",
    "Bread dough should rise in a warm place until it has doubled in size.",
    "def add(a, b): return a + b",
    "\u5411\u91cf\u68c0\u7d22\u662f\u4ec0\u4e48\uff1f",
    "Patients with asthma were followed for twelve months.",
)
UNMOVED = 0.999  # the least cosine of a probe's text with itself: servers compute in half precision, in any batch
LOG = logging.getLogger(__name__)


class EndpointRunner(Runner):
    """Asks an endpoint for vectors; device and number format are those in which they arrive."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, name: str, params: Endpoint, probe: Mapping[Role, np.ndarray]) -> None:
        """Take the model's name, the parameters of the endpoint, and the unit vectors of `PROBE` in each role."""
        self._name, self._params, self._probe = name, params, probe
        self._server = EmbeddingServer(address_of(params, name), params)

    @classmethod
    def load(cls, folder: Path) -> "EndpointRunner":
        """Read the model directory of an endpoint."""
        content = read_endpoint(folder)
        probe: dict[Role, np.ndarray] = {role: np.array(rows, np.float32) for role, rows in content["probe"].items()}
        return cls(folder.name, Endpoint.model_validate(content["entry"]), probe)

    @property
    def model(self) -> Any:
        """There is none here: whatever needs weights refuses an endpoint before."""
        raise TypeError(f"{self._name} is an endpoint")

    @property
    def dim(self) -> int:
        """The number of dimensions of the vectors."""
        return int(self._probe["documents"].shape[1])

    @property
    def tokenizer(self) -> "EndpointRunner":
        """Itself: the server reads texts, not tokens."""
        return self

    def tokenize(self, texts: Sequence[str], role: Role) -> tuple[list[list[int]], list[bool]]:
        """Return no tokens, and that no text was cut, as far as can be known."""
        return [[] for _ in texts], [False] * len(texts)

    def key(self, files: ModelFiles, role: Role) -> str:
        """Return the cache's key of the vectors of a role, on any machine."""
        return hashlib.sha256(f"{files.sha256} {role}".encode()).hexdigest()

    def run(self, inputs: Texts, rows: list[int], token_ids: list[list[int]]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield the rows of each request and their unit vectors.

        The probe is asked for before and afterwards, because a server may be given another model at any time.

        Raises:
            InputError: The server's vectors of the probe have moved, or it does not reply with finite vectors of the
                same number of dimensions.
        """
        self._check_unmoved(inputs.role)
        bar = tqdm(total=len(inputs.texts), initial=len(inputs.texts) - len(rows), desc=f"ask for {inputs.role}",
                   unit="text", leave=False, mininterval=1.0)  # fmt: skip
        with bar as progress:
            for members, vectors in self._ask([inputs.texts[row] for row in rows], inputs.role):
                batch = [rows[member] for member in members]
                inputs.check(vectors, batch)
                progress.update(len(batch))
                yield batch, vectors
        self._check_unmoved(inputs.role)
        spent, cost = self._server.spent, self._server.spent.tokens.cost(self._params.prices)
        price = "" if cost is None else f", cost {cost:.2f}"
        LOG.info("%s: %d HTTP requests so far, %d tokens%s", self._name, spent.sent, spent.tokens.input, price)

    def _ask(self, texts: Sequence[str], role: Role) -> Iterator[tuple[list[int], np.ndarray]]:
        options = options_of(self._params, role)
        for rows, vectors in self._server.embed(texts, options, texts_per_request=self._params.texts_per_request):
            if vectors.shape[1] != self.dim:
                raise InputError(
                    f"{self._server.address.shown}: expected vectors of {self.dim} dimensions, as it had when it was "
                    f"fetched, got {vectors.shape[1]}; fetch it again (dvc repro -f fetch@{self._name})"
                )
            yield rows, scaled(vectors)

    def _check_unmoved(self, role: Role) -> None:
        """Ask for the probe again, and refuse a server whose vectors of it have changed."""
        for rows, vectors in self._ask(probe_of(self._params, role), role):
            cosines = (vectors * self._probe[role][rows]).sum(axis=1)
            if not cosines.min() >= UNMOVED:
                raise InputError(
                    f"{self._server.address.shown}: expected the vectors that it had when it was fetched, got others: "
                    f"a cosine of {cosines.min():.4f}, below {UNMOVED}; cached vectors belong to the old ones, so "
                    f"fetch it again (dvc repro -f fetch@{self._name})"
                )


def address_of(params: Endpoint, name: str) -> Address:
    """Return where the endpoint is, with its key.

    Raises:
        InputError: The address is malformed or contains a secret, or the environment lacks the key.
    """
    at = f"fetch.{name}"
    check_url(params.url, f"params.yaml: {at}.url")
    if params.key_variable is None:
        return Address(params.url, "none", "embeddings", f"{at}.url", f"{at}.key_variable", f"{at}.model")
    key = os.environ.get(params.key_variable, "").strip()
    if not key:
        raise InputError(f"{params.key_variable}: expected the key of {at} in the environment, found none; set it")
    check_key(key, params.key_variable)
    return Address(params.url, key, "embeddings", f"{at}.url", params.key_variable, f"{at}.model")


def probe_of(params: Endpoint, role: Role) -> list[str]:
    """Return the texts of the probe as the model reads them in a role."""
    prefix = params.query_prefix if role == "queries" else params.document_prefix
    return [prefix + text for text in PROBE]


def options_of(params: Endpoint, role: Role) -> dict[str, Any]:
    """Return what is sent with requests for texts of a role."""
    options = dict(params.query_options if role == "queries" else params.document_options)
    return options if params.dimensions is None else options | {"dimensions": params.dimensions}


def scaled(vectors: np.ndarray) -> np.ndarray:
    """Return vectors scaled to length 1; those without a direction are zero, and those that are not finite stay so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0.0, 1.0, lengths), dtype=np.float32)
