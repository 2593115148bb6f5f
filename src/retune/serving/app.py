"""The routes of the server: OpenAI's embeddings API, `/rerank` as Cohere and Jina have it, and `/health`."""

import asyncio
import base64
import hmac
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from fastapi import Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from retune.core.errors import TextError
from retune.models.encoding_settings import Role
from retune.serving.bodies import (
    BAD,
    FAILED,
    FULL,
    MAX_BYTES,
    TOO_LARGE,
    TOO_SLOW,
    UNAUTHORISED,
    UNKNOWN,
    EmbeddingsBody,
    RefusedError,
    RerankBody,
    check_texts,
    parse_body,
)
from retune.serving.served import Embedder, Pair, Reranker, Text, cut, reads_alike
from retune.serving.waiting import Answer, FullError, Waiting

BODY_S = 30.0  # in which the body of a request must arrive


class Service:
    """Answers requests with one model."""

    def __init__(self, name: str, model: Embedder | Reranker, *, queue_limit: int) -> None:
        """Take the model, its name, and the most characters that may wait for it."""
        self.name, self._model = name, model
        self._started = int(time.time())
        self.waiting = Waiting(model.run, limit=queue_limit)

    async def embeddings(self, request: Request) -> Response:
        """Return the vectors of texts."""
        body = parse_body(await _read_body(request), EmbeddingsBody)
        self._check_name(body.model)
        model = self._model
        if not isinstance(model, Embedder):
            raise RefusedError(BAD, f"{self.name} is a cross-encoder; ask /rerank")
        check_texts(body.texts, "input")
        if body.dimensions is not None and body.dimensions > model.dim:
            raise RefusedError(
                BAD, f"dimensions: expected at most {model.dim}, got {body.dimensions}", param="dimensions"
            )
        if body.input_type is None and not reads_alike(model.encoding):
            raise RefusedError(
                BAD,
                "input_type: expected query or document, as this model reads them differently, got none; add it",
                param="input_type",
            )
        role: Role = "queries" if body.input_type == "query" else "documents"
        items = [Text(role, text, place) for place, text in enumerate(body.texts)]
        answers = await self._ask(request, items, sum(map(len, body.texts)))
        return await run_in_threadpool(_embeddings_reply, answers, body, self.name)

    async def rerank(self, request: Request) -> Response:
        """Return documents by the cross-encoder's score, highest first."""
        body = parse_body(await _read_body(request), RerankBody)
        self._check_name(body.model)
        if not isinstance(self._model, Reranker):
            raise RefusedError(BAD, f"{self.name} is an embedding model; ask /v1/embeddings")
        check_texts([body.query], "query")
        check_texts(body.documents, "documents")
        items = [Pair(body.query, document) for document in body.documents]
        answers = await self._ask(request, items, sum(len(query) + len(document) for query, document in items))
        return _rerank_reply(answers, body, self.name)

    def models(self) -> Any:
        """Return the list of the one model."""
        return {
            "object": "list",
            "data": [{"id": self.name, "object": "model", "created": self._started, "owned_by": "retune"}],
        }

    def model(self, name: str) -> Any:
        """Return what is known of the model."""
        self._check_name(name)
        return self.models()["data"][0]

    def health(self) -> Any:
        """Say that the model is loaded."""
        return {"status": "ok", "model": self.name}

    def _check_name(self, name: str) -> None:
        if name != self.name:
            raise RefusedError(
                UNKNOWN, f"model: expected {self.name!r}, the model of this server, got {name!r:.80}", param="model"
            )

    async def _ask(self, request: Request, items: Sequence[Text | Pair], size: int) -> list[Answer]:
        """Return the model's answers; a request whose client has gone does not keep its place."""
        try:
            job = self.waiting.submit(items, size)
        except FullError as error:
            raise RefusedError(
                FULL,
                f"too much text waits for the model; ask again in {error.retry_after_s} s",
                retry_after_s=error.retry_after_s,
            ) from None
        gone = asyncio.ensure_future(_disconnected(request))
        answers = asyncio.wrap_future(job.answers)
        # else asyncio would log the error of an abandoned request, with its text
        answers.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.wait((gone, answers), return_when=asyncio.FIRST_COMPLETED)
            if answers.done():
                return answers.result()
            raise ClientDisconnect
        finally:
            job.is_abandoned = True
            gone.cancel()


def make_app(service: Service, key: str) -> FastAPI:
    """Return the application; without a key, it answers everybody who reaches the server."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(service.waiting.close)

    async def check_key(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), key.encode()):
            raise RefusedError(UNAUTHORISED, "expected the server's key in the header Authorization: Bearer ...")

    app = FastAPI(title="retune", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    routes: list[tuple[str, str, Callable[..., Any]]] = [
        ("/v1/embeddings", "POST", service.embeddings),
        ("/v1/rerank", "POST", service.rerank),
        ("/rerank", "POST", service.rerank),
        ("/v1/models", "GET", service.models),
        ("/v1/models/{name}", "GET", service.model),
    ]
    for path, method, answer in routes:
        checks = [Depends(check_key)] if key else []
        app.add_api_route(path, answer, methods=[method], response_model=None, dependencies=checks)
    app.add_api_route("/health", service.health, response_model=None)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(TextError, _not_computed)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _failed)
    return app


def _refused(_: Request, error: Any) -> JSONResponse:
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
    return JSONResponse(error.body, error.status, headers)


def _not_computed(request: Request, error: Exception) -> JSONResponse:
    """Reply to a request with a text that the model has no vector for; the message names it by its position."""
    return _refused(request, RefusedError(BAD, str(error)))


def _gone(request: Request, _: Exception) -> JSONResponse:
    """Reply to nobody, instead of a traceback in the log."""
    return _refused(request, RefusedError(BAD, "the client has gone"))


def _no_route(request: Request, error: Any) -> JSONResponse:
    paths = "/v1/embeddings, /v1/rerank, /v1/models and /health"
    return _refused(request, RefusedError(error.status_code, f"{error.detail}; there are {paths}"))


def _failed(request: Request, _: Exception) -> JSONResponse:
    return _refused(request, RefusedError(FAILED, "the server failed; its log says why"))


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise RefusedError(
                        TOO_LARGE, f"expected a body of at most {MAX_BYTES:,} bytes; send several requests"
                    )
    except TimeoutError:
        raise RefusedError(TOO_SLOW, f"expected the whole body within {BODY_S:g} s") from None
    return bytes(body)


async def _disconnected(request: Request) -> None:
    """Return once the client has gone; the body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _embeddings_reply(answers: Sequence[Answer], body: EmbeddingsBody, name: str) -> Response:
    vectors = cut(np.stack([answer.value for answer in answers]), body.dimensions)
    is_packed = body.encoding_format == "base64"
    values = [_packed(vector) for vector in vectors] if is_packed else vectors.tolist()
    rows = [{"object": "embedding", "index": row, "embedding": value} for row, value in enumerate(values)]
    count = sum(answer.num_tokens for answer in answers)
    usage = {"prompt_tokens": count, "total_tokens": count}
    return JSONResponse({"object": "list", "data": rows, "model": name, "usage": usage})


def _packed(vector: np.ndarray) -> str:
    """Return a vector as base64 of float32 numbers, as OpenAI's client reads it."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _rerank_reply(answers: Sequence[Answer], body: RerankBody, name: str) -> Response:
    order = sorted(range(len(answers)), key=lambda row: -answers[row].value)[: body.top_n]
    results = [
        {"index": row, "relevance_score": answers[row].value}
        | ({"document": {"text": body.documents[row]}} if body.return_documents else {})
        for row in order
    ]
    usage = {"total_tokens": sum(answer.num_tokens for answer in answers)}
    return JSONResponse({"object": "list", "results": results, "model": name, "usage": usage})
