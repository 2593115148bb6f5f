"""Run an endpoint on texts: it takes the place of `BatchRunner`, and refuses a server whose vectors have moved."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from retune.core.errors import InputError
from retune.encoding.fingerprint import ModelFiles
from retune.encoding.tokenizing import Texts
from retune.llm.address import Address
from retune.llm.embeddings import EmbeddingServer
from retune.models.encoding_settings import Role
from retune.models.endpoint import ENDPOINT
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
# parameters that do not decide the vectors
FREE = {"source", "path", "key_variable", "timeout_s", "total_timeout_s", "prices", "budget", "texts_per_request"}
LOG = logging.getLogger(__name__)


class EndpointRunner:
    """Asks an endpoint for vectors.

    Attributes:
        device: A CPU, where its vectors arrive.
        dtype: The number format in which they are kept.
        pool: None: this process does the asking.
        dim: The number of dimensions of its vectors.
        files: What identifies the endpoint and its vectors, for the cache.
    """

    device, dtype, pool = torch.device("cpu"), torch.float32, None

    def __init__(self, params: Endpoint, probe: np.ndarray, name: str) -> None:
        """Take the endpoint's parameters, the unit vectors of `PROBE`, (texts, dim), and the model's name."""
        self._params, self._probe, self.dim = params, probe, probe.shape[1]
        self._is_unmoved = False  # so far, nobody has looked
        self._server = EmbeddingServer(address_of(params, name), params)
        identity = params.model_dump(mode="json", exclude=FREE) | {"probe": probe.tolist()}
        self.files = ModelFiles(name, hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest())

    @classmethod
    def load(cls, folder: Path) -> "EndpointRunner":
        """Read the model directory of an endpoint."""
        content = json.loads((folder / ENDPOINT).read_text(encoding="utf-8"))
        return cls(Endpoint.model_validate(content["entry"]), np.array(content["probe"], np.float32), folder.name)

    @property
    def model(self) -> Any:
        """There is none here: whatever needs weights refuses an endpoint before."""
        raise TypeError(f"{self.files.name} is an endpoint")

    plain = model

    @property
    def tokenizer(self) -> "EndpointRunner":
        """Itself: the server reads texts, not tokens."""
        return self

    def tokenize(self, texts: Sequence[str], role: Role) -> tuple[list[list[int]], list[bool]]:
        """Return no tokens, and that no text was cut, as far as can be known."""
        return [[] for _ in texts], [False] * len(texts)

    def key(self, files: ModelFiles, role: Role) -> str:
        """Return the cache's key of vectors of this role, on any machine."""
        return hashlib.sha256(f"{files.sha256} {role}".encode()).hexdigest()

    def run(self, inputs: Texts, rows: list[int], token_ids: list[list[int]]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield the rows of each request and their unit vectors.

        Args:
            inputs: The texts, for messages and the progress bar.
            rows: Those of `inputs.texts` to encode.
            token_ids: Not used.

        Raises:
            InputError: The server's vectors of the probe have moved, or it does not reply with finite vectors of the
                same number of dimensions.
        """
        self._check_unmoved()
        with tqdm(total=len(inputs.texts), initial=len(inputs.texts) - len(rows), desc=f"ask for {inputs.role}",
                  unit="text", leave=False, mininterval=1.0) as progress:  # fmt: skip
            for members, vectors in self._ask([inputs.texts[row] for row in rows], inputs.role):
                batch = [rows[member] for member in members]
                inputs.check(vectors, batch)
                progress.update(len(batch))
                yield batch, vectors
        spent, cost = self._server.spent, self._server.spent.tokens.cost(self._params.prices)
        price = "" if cost is None else f", cost {cost:.2f}"
        LOG.info("%s: %d HTTP requests so far, %d tokens%s", self.files.name, spent.sent, spent.tokens.input, price)

    def _ask(self, texts: Sequence[str], role: Role) -> Iterator[tuple[list[int], np.ndarray]]:
        options = options_of(self._params, role)
        for rows, vectors in self._server.embed(texts, options, texts_per_request=self._params.texts_per_request):
            if vectors.shape[1] != self.dim:
                raise InputError(
                    f"{self._server.address.shown}: expected vectors of {self.dim} dimensions, as it had when it was "
                    f"fetched, got {vectors.shape[1]}; fetch it again (dvc repro -f fetch@{self.files.name})"
                )
            yield rows, scaled(vectors)

    def _check_unmoved(self) -> None:
        """Ask for the probe again, once in a process, and refuse a server whose vectors of it have changed."""
        if self._is_unmoved:
            return
        for rows, vectors in self._ask(PROBE, "documents"):
            cosines = (vectors * self._probe[rows]).sum(axis=1)
            if not cosines.min() >= UNMOVED:
                raise InputError(
                    f"{self._server.address.shown}: expected the vectors that it had when it was fetched, got others: "
                    f"a cosine of {cosines.min():.4f}, below {UNMOVED}; cached vectors belong to the old ones, so "
                    f"fetch it again (dvc repro -f fetch@{self.files.name})"
                )
        self._is_unmoved = True


def address_of(params: Endpoint, name: str) -> Address:
    """Return where the endpoint is, with its key.

    Raises:
        InputError: The environment lacks the key.
    """
    key = os.environ.get(params.key_variable, "").strip() if params.key_variable else "none"
    if not key:
        raise InputError(
            f"{params.key_variable}: expected the key of fetch.{name} in the environment, found none; set it"
        )
    at = f"fetch.{name}"
    key_name = params.key_variable or f"{at}.key_variable"
    return Address(params.url, key, "embeddings", f"{at}.url", key_name, f"{at}.model")


def options_of(params: Endpoint, role: Role) -> dict[str, Any]:
    """Return what is sent with requests for texts of a role."""
    options = dict(params.query_options if role == "queries" else params.document_options)
    return options if params.dimensions is None else options | {"dimensions": params.dimensions}


def scaled(vectors: np.ndarray) -> np.ndarray:
    """Return vectors scaled to length 1; those without a direction are zero, and those that are not finite stay so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0.0, 1.0, lengths), dtype=np.float32)
