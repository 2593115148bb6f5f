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

Found = tuple[list[int], np.ndarray] | BaseException  # rows and their vectors, or what went wrong
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
        parts = list(_batched(range(len(texts)), texts_per_request))
        for window in _batched(parts, WINDOW * concurrency):
            found = asyncio.run(self._ask(window, texts, options, concurrency))
            errors = [item for item in found if isinstance(item, BaseException)]
            yield from (item for item in found if not isinstance(item, BaseException))
            if errors:
                raise next((error for error in errors if isinstance(error, InputError)), errors[0])

    async def _ask(
        self, parts: Sequence[Sequence[int]], texts: Sequence[str], options: Mapping[str, Any], concurrency: int
    ) -> list[Found]:
        """Return the rows and vectors of each request, or what went wrong with it.

        If a request is refused, each of its texts is asked for by itself, to find the culprit and keep the others.
        """
        free = asyncio.Semaphore(concurrency)
        async with open_client(self.address, self._params.timeout_s, concurrency) as client:
            attempts = Attempts(self, self._params.timeout_s, self.spent, self._limit)

            async def ask(rows: Sequence[int]) -> list[Found]:
                asked = [texts[row] for row in rows]
                try:
                    async with free:
                        answer = await attempts.deliver(lambda: self._post(client, asked, options))
                    return [(list(rows), answer.values)]
                except BadRequestError as error:
                    if len(rows) == 1:
                        return [self._refusal(asked[0], error)]
                    alone = await asyncio.gather(*(ask([row]) for row in rows))
                    return [item for items in alone for item in items]
                except UnansweredError as error:
                    return [self._silence(len(rows), error)]
                except Exception as error:  # is raised once the vectors that came have been handed on
                    return [error]

            done = await asyncio.gather(*(ask(rows) for rows in parts))
        return [item for items in done for item in items]

    def _refusal(self, text: str, error: BadRequestError) -> InputError:
        return InputError(
            f"{self.address.shown}: expected a vector of the text {text[:60]!r}, got status {error.status}: "
            f"{error.message}; shorten or remove the text, or change the options of the entry"
        )

    def _silence(self, count: int, error: UnansweredError) -> InputError:
        problem = f"{error.problem}: {error.detail}" if error.detail else error.problem
        return InputError(
            f"{self.address.shown}: expected vectors, got none for a request of {count} texts ({problem}); "
            "vectors that came are cached, so run it again when that has changed"
        )

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
        return self._parse(content, texts)

    def _parse(self, content: bytes, texts: Sequence[str]) -> Vectors:
        """Return the vectors in a response, in the order of the texts.

        Raises:
            FaultError: There is not one vector for each text.
        """
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            raise FaultError(replies.INVALID_RESPONSE, "no JSON") from None
        try:
            rows = body["data"]
            numbers = [row.get("index", place) for place, row in enumerate(rows)]
            if sorted(numbers) != list(range(len(texts))) or not all(type(number) is int for number in numbers):
                raise ValueError("other indexes")
            values = np.array([rows[numbers.index(place)]["embedding"] for place in range(len(texts))], np.float32)
            if values.ndim != 2:
                raise ValueError("no vectors")
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
            said = body.get("error", body.get("message", "")) if isinstance(body, Mapping) else ""
            detail = self.address.redact(" ".join(str(said).split()))[:300] or "no list of one vector for each text"
            raise FaultError(replies.INVALID_RESPONSE, detail, is_final=not said) from None
        usage = body.get("usage")
        counted = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
        if isinstance(counted, int) and counted >= 0:
            return Vectors(values, Tokens(counted))
        return Vectors(values, Tokens(estimate_tokens(texts), 0, True))


def _batched(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
