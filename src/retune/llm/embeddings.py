"""Vectors of texts from an OpenAI-compatible server: requests in parallel, each attempted until it is answered."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from retune.core.errors import InputError
from retune.core.local_settings import read_local_settings
from retune.llm import replies
from retune.llm.address import Address
from retune.llm.attempts import Attempts, UnansweredError
from retune.llm.ledger import Limit, Spent, Tokens, estimate_tokens
from retune.llm.responses import BadRequestError, FaultError, message_of, reply_of_status
from retune.llm.server import open_client, read_response, refuse_web_page
from retune.params.llm import Remote

if TYPE_CHECKING:
    import openai

MAX_BYTES = 256 * 1024**2  # of a response
WINDOW = 4  # requests for each that may be in flight, after which their vectors are handed on


@dataclass(frozen=True)
class Vectors:
    """What a server replies to one request.

    Attributes:
        values: (texts, dim) float32, of any length.
        tokens: The tokens it counted, or an estimate.
    """

    values: np.ndarray
    tokens: Tokens


class EmbeddingServer:
    """A server of embeddings.

    Attributes:
        address: Where it is.
        has_responded: Whether it has responded to anything.
        spent: The requests and tokens so far.
    """

    def __init__(self, address: Address, params: Remote) -> None:
        """Take its address, and how long to wait for it and what it may cost."""
        self.address, self.has_responded, self.spent = address, False, Spent()
        self._params, self._limit = params, Limit(params)

    def embed(
        self, texts: Sequence[str], options: Mapping[str, Any], *, texts_per_request: int
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield the rows of each request that was answered, and their vectors; then raise what went wrong.

        Args:
            texts: The texts.
            options: Sent with each request beside model and texts.
            texts_per_request: The most texts in a request.

        Raises:
            InputError: The server cannot be reached, refuses a text, or replies something else than vectors; or the
                budget or the time is over.
        """
        concurrency = read_local_settings().llm_concurrency
        parts = [list(rows) for rows in _batched(range(len(texts)), texts_per_request)]
        for window in _batched(parts, WINDOW * concurrency):
            found = asyncio.run(self._ask(window, texts, options, concurrency))
            errors = [item for item in found if isinstance(item, BaseException)]
            yield from (item for item in found if not isinstance(item, BaseException))
            if errors:
                raise next((error for error in errors if isinstance(error, InputError)), errors[0])

    async def _ask(
        self, parts: Sequence[list[int]], texts: Sequence[str], options: Mapping[str, Any], concurrency: int
    ) -> list[tuple[list[int], np.ndarray] | BaseException]:
        """Return the rows and vectors of each request, or what went wrong with it."""
        free = asyncio.Semaphore(concurrency)
        async with open_client(self.address, self._params.timeout_s, concurrency) as client:
            attempts = Attempts(self, self._params.timeout_s, self.spent, self._limit)

            async def ask(rows: list[int]) -> tuple[list[int], np.ndarray]:
                async with free:
                    return rows, await self._vectors(client, attempts, [texts[row] for row in rows], options)

            return await asyncio.gather(*(ask(rows) for rows in parts), return_exceptions=True)

    async def _vectors(
        self, client: "openai.AsyncOpenAI", attempts: Attempts, texts: list[str], options: Mapping[str, Any]
    ) -> np.ndarray:
        """Return the vectors of the texts of one request; if it is refused, ask for each text, to find the culprit."""
        try:
            return (await attempts.deliver(lambda: self._post(client, texts, options))).values
        except BadRequestError as error:
            if len(texts) > 1:
                alone = [await self._vectors(client, attempts, [text], options) for text in texts]
                return np.concatenate(alone)
            raise InputError(
                f"{self.address.shown}: expected a vector of the text {texts[0][:60]!r}, got status {error.status}: "
                f"{error.message}; shorten or remove the text"
            ) from None
        except UnansweredError as error:
            problem = f"{error.problem}: {error.detail}" if error.detail else error.problem
            raise InputError(
                f"{self.address.shown}: expected vectors, got none for a request of {len(texts)} texts ({problem}); "
                "vectors that came are cached, so run it again when that has changed"
            ) from None

    async def _post(self, client: "openai.AsyncOpenAI", texts: list[str], options: Mapping[str, Any]) -> Vectors:
        import openai

        self.spent.sent += 1
        body = {"model": self._params.model, "input": texts, "encoding_format": "float", **options}
        asked = client.embeddings.with_streaming_response.create(model="", input=[], extra_body=body)
        try:
            content, media = await read_response(asked, self.address, MAX_BYTES)
        except openai.APIStatusError as error:
            self.has_responded = True
            ending = reply_of_status(error, self.address, self._params.model).ending
            raise BadRequestError(error.status_code, f"{ending}: {message_of(error, self.address)}") from None
        if not self.has_responded:
            refuse_web_page(media, self.address)
        self.has_responded = True
        if content is None:
            raise FaultError(replies.TOO_LONG, f"more than {MAX_BYTES:,} bytes", is_final=True)
        return _parse(content, texts)


def _parse(content: bytes, texts: Sequence[str]) -> Vectors:
    """Return the vectors in a response, in the order of the texts.

    Raises:
        FaultError: There is not one vector for each text.
    """
    try:
        body = json.loads(content)
        rows = {int(row["index"]): row["embedding"] for row in body["data"]}
        values = np.array([rows[number] for number in range(len(texts))], dtype=np.float32)
        usage = body.get("usage") or {}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise FaultError(replies.INVALID_RESPONSE, "no list of one vector for each text") from None
    if values.ndim != 2 or len(rows) != len(texts):
        raise FaultError(replies.INVALID_RESPONSE, "no list of one vector for each text")
    counted = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    if isinstance(counted, int) and counted >= 0:
        return Vectors(values, Tokens(counted))
    return Vectors(values, Tokens(estimate_tokens(texts), 0, True))


def _batched(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
