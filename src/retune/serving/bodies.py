"""The bodies of requests: what they must look like, and what is wrong with one, said without its texts."""

import json
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

MAX_BYTES = 8 * 1024**2  # of a body
MAX_TEXTS = 2048  # of a request, as OpenAI allows
MAX_CHARACTERS = 100_000  # of a text: all of it is tokenised, however little the model reads
BAD, UNAUTHORISED, UNKNOWN, TOO_SLOW, TOO_LARGE, FAILED, FULL = 400, 401, 404, 408, 413, 500, 503  # status codes
TYPES = {UNAUTHORISED: "authentication_error", FULL: "server_overloaded", FAILED: "server_error"}


class RefusedError(Exception):
    """A request that is not answered with what it asked for.

    Attributes:
        status: The status code of HTTP.
        param: The field of the body that is wrong, if one is.
        retry_after_s: When to ask again, if that helps.
    """

    def __init__(self, status: int, message: str, *, param: str | None = None, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status, self.param, self.retry_after_s = status, param, retry_after_s

    @property
    def body(self) -> dict[str, Any]:
        """The body of the reply, as OpenAI's clients read it."""
        kind = TYPES.get(self.status, "invalid_request_error")
        code = "model_not_found" if self.param == "model" else None
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": code}}


class Body(BaseModel):
    """What all requests have."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    model: str


Body_ = TypeVar("Body_", bound=Body)


class EmbeddingsBody(Body):
    """A request for vectors, as in OpenAI's API, with `input_type` beside it."""

    input: str | list[str]
    input_type: Literal["query", "document"] | None = None
    dimensions: PositiveInt | None = None
    encoding_format: Literal["float", "base64"] = "float"
    user: str | None = None  # of OpenAI's API; not used

    @property
    def texts(self) -> list[str]:
        """The texts to embed."""
        return [self.input] if isinstance(self.input, str) else self.input


class RerankBody(Body):
    """A request for the order of documents, as in the APIs of Cohere and Jina."""

    query: str
    documents: list[str]
    top_n: PositiveInt | None = None
    return_documents: bool = False


class _Problem(NamedTuple):
    field: str
    message: str


def parse_body(raw: bytes, kind: type[Body_]) -> Body_:
    """Return the body of a request.

    Raises:
        RefusedError: It is no JSON object of this kind.
    """
    try:
        return kind.model_validate(json.loads(raw))
    except ValidationError as error:
        problem = _problem(error, kind)
        raise RefusedError(BAD, f"{problem.field}: {problem.message}", param=problem.field) from None
    except (ValueError, RecursionError):
        raise RefusedError(BAD, "expected a JSON object as the body, got something else") from None


def _problem(error: ValidationError, kind: type[Body]) -> _Problem:
    first = error.errors(include_input=False, include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else "body"
    if field == "input" and first["type"] != "missing":
        return _Problem(field, "expected a text or a list of texts, got something else, such as token ids; send texts")
    if first["type"] == "extra_forbidden":
        return _Problem(field, f"unknown; expected one of {', '.join(kind.model_fields)}")
    return _Problem(field, first["msg"][:1].lower() + first["msg"][1:])


def check_texts(texts: list[str], field: str) -> None:
    """Check that there are texts, not too many, and none that is empty, too long or no Unicode.

    Raises:
        RefusedError: Otherwise.
    """
    if not texts:
        raise RefusedError(BAD, f"{field}: expected at least one text, got none", param=field)
    if len(texts) > MAX_TEXTS:
        raise RefusedError(
            BAD,
            f"{field}: expected at most {MAX_TEXTS:,} texts, got {len(texts):,}; send several requests",
            param=field,
        )
    long = next((row for row, text in enumerate(texts) if len(text) > MAX_CHARACTERS), None)
    if long is not None:
        message = (
            f"{field}: expected at most {MAX_CHARACTERS:,} characters, got {len(texts[long]):,} at position {long}"
        )
        raise RefusedError(BAD, message, param=field)
    halves = next((row for row, text in enumerate(texts) if not _is_unicode(text)), None)
    if halves is not None:
        raise RefusedError(BAD, f"{field}: expected Unicode, got half a character at position {halves}", param=field)
    empty = next((row for row, text in enumerate(texts) if not text.strip()), None)
    if empty is not None:
        raise RefusedError(BAD, f"{field}: expected texts, got an empty one at position {empty}", param=field)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
