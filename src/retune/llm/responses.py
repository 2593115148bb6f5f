"""What each kind of response means: a reply, a fault that may pass, or an error that only the user can fix."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from retune.core.errors import InputError
from retune.llm import replies
from retune.llm.address import Address
from retune.llm.ledger import Tokens, estimate_tokens
from retune.llm.replies import RawReply

if TYPE_CHECKING:
    import openai

FORBIDDEN = 403
RETRIED = {408, 409, 425, 429}  # and all from 500, except 501
BAD_REQUEST = {400, 413, 422, 501}
LONG_PROMPT = re.compile(r"context.?(length|size|window)|(prompt|input|request) .*too (long|large)", re.IGNORECASE)
FILTERED = re.compile(r"content.?(filter|policy)", re.IGNORECASE)


class FaultError(Exception):
    """A request without a reply.

    Attributes:
        problem: What to say of it.
        detail: What the server or the connection said.
        retry_after_s: How long the server asks to wait before the next attempt.
        is_final: Whether another attempt would end in the same way.
        is_unconnected: Whether nothing was sent, because there was no connection.
    """

    def __init__(
        self,
        problem: str,
        detail: str = "",
        *,
        retry_after_s: float | None = None,
        is_final: bool = False,
        is_unconnected: bool = False,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.is_final = is_final
        self.is_unconnected = is_unconnected


class BadRequestError(Exception):
    """The server does not accept a request in this dialect.

    Attributes:
        status: 400 or one of its kind.
        message: What the server said.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def reply_of_body(body: bytes, asked_tokens: int, address: Address) -> RawReply:
    """Return the reply in a chat completion.

    Args:
        body: JSON of the server.
        asked_tokens: An estimate for the prompt, used if the server reports no usage.
        address: Redacts the key.

    Raises:
        FaultError: The body is no chat completion.
    """
    try:
        completion = json.loads(body)
        choice = completion["choices"][0] if completion["choices"] else {"message": {}}
        content, refusal = choice["message"].get("content"), choice["message"].get("refusal")
        reason, usage = choice.get("finish_reason"), completion.get("usage")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise FaultError(replies.INVALID_RESPONSE, "no chat completion") from None
    text = address.redact(_text(content) or str(refusal or ""))
    tokens = _usage(usage) or Tokens(asked_tokens, estimate_tokens([text]), True)
    return RawReply(text, _ending(reason, refusal, text), tokens)


def reply_of_status(error: "openai.APIStatusError", address: Address, model: str) -> RawReply:
    """Return the reply that a status above 299 amounts to; most are none.

    Raises:
        FaultError: Another attempt may succeed.
        BadRequestError: A request in another dialect may succeed.
        InputError: No request will succeed until the user changes something.
    """
    status, url, message = error.status_code, address.shown, message_of(error, address)
    if status in BAD_REQUEST:
        return _reply_of_bad_request(status, message, str(error.body))
    is_without_credit = status == 402 or "insufficient_quota" in str(error.body)
    if (status in RETRIED or status >= 500) and not is_without_credit:
        wait_s = retry_after_s(error.response.headers.get("retry-after", ""))
        raise FaultError(f"{replies.SERVER_ERROR} {status}", message, retry_after_s=wait_s)
    if status in (401, FORBIDDEN):
        raise InputError(
            f"{address.key_name}: expected a key that {url} accepts, got status {status}: {message}; set another one"
        )
    if is_without_credit:
        raise InputError(
            f"{address.key_name}: expected an account with credit, got of {url} status {status}: {message}"
        )
    if status in (404, 405):
        raise InputError(
            f"{address.model_name}: expected a model that {url} has, got {model!r} and status {status}: {message}; "
            f"fix the name, or the address in {address.url_name}, which usually ends in /v1"
        )
    if location := error.response.headers.get("location", ""):
        raise InputError(
            f"{address.url_name}: expected {address.service} of {url}, got a redirect to {address.redact(location)!r}; "
            "name the address that it leads to"
        )
    raise InputError(f"{address.url_name}: expected {address.service} of {url}, got status {status}: {message}; fix it")


def retry_after_s(value: str) -> float | None:
    """Return the seconds that a header Retry-After asks to wait: it has seconds or a date."""
    if re.fullmatch(r"\d+(\.\d+)?", value.strip()):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _text(content: object) -> str:
    """Return the text of a message, which some servers send in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return str(content or "")


def _reply_of_bad_request(status: int, message: str, body: str) -> RawReply:
    if status == 413 or LONG_PROMPT.search(message):
        return RawReply("", replies.PROMPT_TOO_LONG, Tokens())
    if FILTERED.search(body):
        return RawReply("", replies.REFUSED, Tokens())
    raise BadRequestError(status, message)


def message_of(error: "openai.APIStatusError", address: Address) -> str:
    """Return what the server says of an error, in a line."""
    body: Any = error.body
    for name in ("error", "message", "detail"):
        body = body.get(name, body) if isinstance(body, Mapping) else body
    return address.redact(" ".join(str(body or "no message").split()))[:300]


def _ending(reason: object, refusal: object, text: str) -> str:
    """Return why a text cannot be used; empty if it may be."""
    if refusal or reason == "content_filter":
        return replies.REFUSED
    if reason == "length":
        return replies.CUT_OFF
    return "" if text.strip() else replies.EMPTY


def _usage(usage: object) -> Tokens | None:
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, dict) else [None]
    return None if not all(isinstance(count, int) and count >= 0 for count in counts) else Tokens(*counts)
