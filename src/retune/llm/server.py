"""One HTTP request to an OpenAI-compatible server, in the dialect that the server understands."""

import gc
import json
import logging
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from retune.core.errors import InputError
from retune.llm import replies
from retune.llm.address import Address, read_address
from retune.llm.ledger import Spent, Tokens, estimate_tokens
from retune.llm.replies import RawReply
from retune.llm.responses import FORBIDDEN, BadRequestError, FaultError, message_of, reply_of_body, reply_of_status
from retune.params.llm import Llm

if TYPE_CHECKING:
    import openai

LOG = logging.getLogger(__name__)

MAX_BYTES = 2 * 1024**2  # of a response; a longer one is not read to its end
CONNECT_TIMEOUT_S = 10.0
INSTRUCTION = "Reply with one JSON object and nothing else. It must match this JSON schema:"

Message = dict[str, str]


@dataclass(frozen=True)
class Dialect:
    """What a server understands.

    Attributes:
        has_schema: Whether it takes a JSON schema as `response_format`.
        has_seed: Whether it takes a seed.
        limit: What it calls the limit of tokens.
    """

    has_schema: bool = True
    has_seed: bool = True
    limit: str = "max_tokens"

    def simpler(self, message: str) -> "Dialect | None":
        """Return what to try after a bad request; None if nothing is left."""
        if "max_completion_tokens" in message and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        if self.has_seed and re.search(r"\bseed\b", message):
            return replace(self, has_seed=False)
        return replace(self, has_schema=False) if self.has_schema else None


class Server:
    """A connection to a server, in the dialect that it was found to understand."""

    def __init__(self, client: "openai.AsyncOpenAI", address: Address, params: Llm, seed: int, spent: Spent) -> None:
        self.address = address
        self.has_responded = False
        self._has_replied = False
        self.rejection = ""  # what the server said to a request that it accepts in no dialect
        self._dialect = Dialect()
        self._client = client
        self._params = params
        self._seed = seed
        self._spent = spent

    async def send(self, messages: Sequence[Message], schema: object) -> RawReply:
        """Return the server's reply.

        Raises:
            FaultError: It sent none.
            InputError: It will send none until the user changes something.
        """
        dialect = self._dialect
        while True:
            try:
                reply = await self._post(messages, schema, dialect)
            except BadRequestError as error:
                simpler = dialect.simpler(error.message)
                if simpler is None:
                    self.rejection = f"status {error.status}: {error.message}"
                    problem = f"{replies.SERVER_ERROR} {error.status}"
                    raise FaultError(problem, error.message, is_final=True) from None
                dialect = simpler
            else:
                self._settle(dialect, reply)
                return reply

    def _settle(self, dialect: Dialect, reply: RawReply) -> None:
        """Speak the dialect that led to the first reply from now on; a later exception concerns one request alone."""
        if self._has_replied or reply.ending in (replies.REFUSED, replies.PROMPT_TOO_LONG):
            return
        self._has_replied = True
        if self._dialect.has_schema and not dialect.has_schema:
            LOG.warning("%s: takes no JSON schema as response_format; it is in the prompt instead", self.address.shown)
        self._dialect = dialect

    async def _post(self, messages: Sequence[Message], schema: object, dialect: Dialect) -> RawReply:
        import openai

        self._spent.sent += 1
        options = self._options(messages, schema, dialect)
        asked = self._client.chat.completions.with_streaming_response.create(
            model=self._params.model,
            messages=[],
            extra_body=options,  # replaces both, without the client's conversion of each message
        )
        try:
            body, media = await read_response(asked, self.address, MAX_BYTES)
        except openai.APIStatusError as error:
            self.has_responded = True
            if error.status_code == FORBIDDEN and self._has_replied:  # this input, as the key is good
                LOG.warning("%s: refused a request with status %d: %s", self.address.shown, FORBIDDEN,
                            message_of(error, self.address))  # fmt: skip
                return RawReply("", replies.REFUSED, Tokens())
            return reply_of_status(error, self.address, self._params.model)
        if not self.has_responded:
            refuse_web_page(media, self.address)
        self.has_responded = True
        asked_tokens = estimate_tokens(message["content"] for message in messages)
        if body is None:
            return RawReply("", replies.TOO_LONG, Tokens(asked_tokens, self._params.max_tokens, True))
        return reply_of_body(body, asked_tokens, self.address)

    def _options(self, messages: Sequence[Message], schema: object, dialect: Dialect) -> dict[str, Any]:
        params = self._params
        options: dict[str, Any] = {
            "model": params.model,
            "messages": list(messages),
            "temperature": params.temperature,
            dialect.limit: params.max_tokens,
        }
        if dialect.has_seed:
            options["seed"] = self._seed
        if params.top_p is not None:
            options["top_p"] = params.top_p
        if dialect.has_schema:
            json_schema = {"name": "reply", "strict": True, "schema": schema}
            return options | {"response_format": {"type": "json_schema", "json_schema": json_schema}}
        system = next((message["content"] for message in messages if message["role"] == "system"), "")
        instruction = f"{system}\n\n{with_schema(INSTRUCTION, schema)}".strip()
        others = [message for message in messages if message["role"] != "system"]
        return options | {"messages": [{"role": "system", "content": instruction}, *others]}


@asynccontextmanager
async def connect(params: Llm, seed: int, spent: Spent, concurrency: int) -> AsyncIterator[Server]:
    """Open as many connections to the server as requests may be in flight.

    Raises:
        InputError: The environment names no server.
    """
    address = read_address()
    async with open_client(address, params.timeout_s, concurrency) as client:
        yield Server(client, address, params, seed, spent)


@asynccontextmanager
async def open_client(address: Address, timeout_s: float, concurrency: int) -> AsyncIterator["openai.AsyncOpenAI"]:
    """Open as many connections to an address as requests may be in flight."""
    import httpx2
    import openai

    was_frozen = gc.get_freeze_count() > 0
    gc.freeze()  # a full collection would scan all of the client's objects, and stall requests for 0.2 s
    try:
        async with openai.AsyncOpenAI(
            api_key=address.key,
            base_url=address.url or None,
            max_retries=0,  # attempts are made in one place, `conversation`
            timeout=openai.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
            http_client=openai.DefaultAsyncHttpxClient(
                limits=httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
                follow_redirects=False,  # the key goes to the address that the user named, and to no other
                verify=_verify(address),
            ),
        ) as client:
            yield client
    finally:
        if not was_frozen:
            gc.unfreeze()


def _verify(address: Address) -> bool | ssl.SSLContext:
    """Return how to check certificates; without encryption there are none, and loading authorities takes 0.1 s."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if address.url.startswith("http://") else True


def with_schema(text: str, schema: object) -> str:
    """Return an instruction with a JSON schema below it."""
    return f"{text}\n{json.dumps(schema, ensure_ascii=False)}"


async def read_response(
    asked: AbstractAsyncContextManager[Any], address: Address, max_bytes: int
) -> tuple[bytes | None, str]:
    """Return the body of a response and its media type; None as the body if it is too long.

    Raises:
        FaultError: There was no response, or only a part of it.
        openai.APIStatusError: The status is above 299.
    """
    import httpx2
    import openai

    try:
        async with asked as response:
            return await _read(response.iter_bytes(), max_bytes), response.headers.get("content-type", "")
    except openai.APITimeoutError:
        raise FaultError(replies.TIMED_OUT) from None
    except (openai.APIConnectionError, httpx2.HTTPError) as error:
        cause = error.__cause__ or error
        detail = address.redact(" ".join(str(cause).split())) or type(cause).__name__
        is_unconnected = isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout))
        raise FaultError(replies.CONNECTION_LOST, detail, is_unconnected=is_unconnected) from None


def refuse_web_page(media: str, address: Address) -> None:
    """Refuse a first response that is a web page: its server is another one than the user means.

    Raises:
        InputError: It is one.
    """
    if "html" in media:
        raise InputError(
            f"{address.url_name}: expected a server of {address.service}, got a web page from {address.shown}; "
            "fix the address, which usually ends in /v1"
        )


async def _read(chunks: AsyncIterator[bytes], max_bytes: int) -> bytes | None:
    """Return a body, or None if it is too long."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > max_bytes:
            return None
    return bytes(body)
