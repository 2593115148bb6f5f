"""Endpoints as models: what is asked, what is cached, and what a server may not reply."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retune.core.errors import InputError, ParameterError
from retune.encoding.compute import Cache, Compute
from retune.encoding.encoder import Encoder
from retune.encoding.endpoint import PROBE
from retune.fetching.fetch import fetch
from retune.llm import attempts
from retune.llm.attempts import Patience
from retune.models.directory import load_model
from retune.params.fetch import Endpoint, parse_entry
from tests.support.llm_server import Body, LlmServer, Response, error, running

DIM = 8
KEY = "sk-this-key-is-1-secret"
ENTRY = {"source": "endpoint", "model": "m", "timeout_s": 20.0, "texts_per_request": 4}
TEXTS = [f"text {number}" for number in range(10)]


def vector(text: str, dim: int = DIM) -> list[float]:
    """Return numbers that depend on the text alone."""
    digest = hashlib.sha256(text.encode()).digest()
    return [byte - 127.5 for byte in digest[:dim]]


def unit(texts: Sequence[str]) -> np.ndarray:
    values = np.array([vector(text) for text in texts], dtype=np.float32)
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))


def embeddings(texts: Sequence[str], of: Callable[[str], list[float]] = vector) -> Body:
    rows = [{"index": row, "embedding": of(text)} for row, text in enumerate(texts)]
    return {"data": rows[::-1], "usage": {"prompt_tokens": 3 * len(texts)}}  # in any order


def well(body: Body, times: int = 0) -> Response:
    return Response(embeddings(body["input"]))


class Rig:
    """A server, the model directory of it, and encoders of that."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack, self.cache = folder, stack, folder / "cache"

    def serve(self, behave: Callable[[Body, int], Response] = well, **changes: Any) -> LlmServer:
        server, url = self._stack.enter_context(running(behave))
        self.entry = Endpoint.parse("fetch.remote", ENTRY | {"url": url} | changes)
        return server

    def fetch(self) -> Path:
        fetch(self.entry, self.folder / "remote", where="params.yaml: fetch.remote")
        return self.folder / "remote"

    def encoder(self) -> Encoder:
        compute = Compute(device="cpu", token_budget=512, cache=Cache(folder=self.cache, max_gb=1.0))
        return Encoder.load(self.folder / "remote", compute)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(attempts, "PATIENCE", Patience(attempts=4, first_wait_s=0.01, longest_wait_s=0.05))
    monkeypatch.delenv("RETUNE_LLM_CONCURRENCY", raising=False)
    with ExitStack() as stack:
        yield Rig(tmp_path, stack)


def asked(server: LlmServer) -> list[str]:
    """Return all texts that the server was asked for."""
    return [text for request in server.received for text in request.body["input"]]


def test_vectors_are_those_of_the_server_scaled_to_length_1(rig: Rig) -> None:
    server = rig.serve()
    rig.fetch()
    vectors = rig.encoder().encode_documents([*TEXTS, TEXTS[3]])
    np.testing.assert_allclose(vectors, unit([*TEXTS, TEXTS[3]]), rtol=1e-6)
    assert {len(request.body["input"]) for request in server.received} == {4, 2}
    # twice when it is fetched, for both roles; then before the first text and after the last
    assert sorted(asked(server)) == sorted([*PROBE * 4, *TEXTS])


def test_roles_have_their_prefixes_and_options(rig: Rig) -> None:
    options = {"query_options": {"input_type": "query"}, "document_options": {"input_type": "passage"}}
    server = rig.serve(query_prefix="q: ", document_prefix="d: ", dimensions=DIM, **options)
    rig.fetch()
    encoder = rig.encoder()
    np.testing.assert_allclose(encoder.encode_queries(["x"], ["in short "]), unit(["in short q: x"]), rtol=1e-6)
    np.testing.assert_allclose(encoder.encode_documents(["x"]), unit(["d: x"]), rtol=1e-6)
    sent = {text: request.body["input_type"] for request in server.received for text in request.body["input"]}
    assert (sent["in short q: x"], sent["d: x"]) == ("query", "passage")
    assert (sent[f"q: {PROBE[0]}"], sent[f"d: {PROBE[0]}"]) == ("query", "passage")
    assert {request.body["dimensions"] for request in server.received} == {DIM}
    assert {request.body["model"] for request in server.received} == {"m"}


def test_cached_vectors_are_not_asked_for_and_new_ones_only_after_the_probe(rig: Rig) -> None:
    server = rig.serve()
    rig.fetch()
    first = rig.encoder().encode_documents(TEXTS)
    server.received.clear()
    np.testing.assert_array_equal(rig.encoder().encode_documents(TEXTS), first)
    assert server.received == []
    again = rig.encoder()
    again.encode_documents([*TEXTS, "new"])
    again.encode_queries(["new"], [None])
    assert [text for text in asked(server) if text not in PROBE] == ["new", "new"]
    assert asked(server)[:10] == list(PROBE) == asked(server)[-10:]


def test_vectors_that_have_moved_are_refused(rig: Rig) -> None:
    server = rig.serve()
    rig.fetch()
    first = rig.encoder().encode_documents(TEXTS)
    server.behave = lambda body, times: Response(embeddings([f"moved {text}" for text in body["input"]]))
    with pytest.raises(InputError, match=r"127\.0\.0\.1.*got others: a cosine of .*dvc repro -f fetch@remote"):
        rig.encoder().encode_documents(["new"])
    rig.fetch()
    moved = rig.encoder().encode_documents(TEXTS)
    assert np.abs(moved - first).max() > 0.1  # the cache of the old ones is another


def test_probe_in_half_precision_has_not_moved(rig: Rig) -> None:
    server = rig.serve()
    rig.fetch()
    server.behave = lambda body, times: Response(
        embeddings(body["input"], lambda text: np.array(vector(text), np.float16).tolist())
    )
    rig.encoder().encode_documents(["new"])


def test_vectors_that_came_before_a_failure_are_kept(rig: Rig) -> None:
    def behave(body: Body, times: int) -> Response:
        return error(400, "too long for me") if "text 9" in body["input"] else well(body)

    server = rig.serve(behave, texts_per_request=1)
    rig.fetch()
    with pytest.raises(InputError, match=r"expected a vector of the text 'text 9', got status 400: .*too long for me"):
        rig.encoder().encode_documents(TEXTS)
    server.behave = well
    server.received.clear()
    rig.encoder().encode_documents(TEXTS)
    assert [text for text in asked(server) if text not in PROBE] == ["text 9"]


def test_refused_text_of_a_request_is_named(rig: Rig) -> None:
    rig.serve(lambda body, times: error(413, "too large") if "text 5" in body["input"] else well(body))
    rig.fetch()
    with pytest.raises(InputError, match="expected a vector of the text 'text 5', got status 413"):
        rig.encoder().encode_documents(TEXTS)


def test_faults_that_pass_are_tried_again(rig: Rig) -> None:
    faults = [
        error(503, "busy"),
        error(429, "slower", {"Retry-After": "0.01"}),
        Response({"error": "warming up"}),
        Response(is_dropped=True),
    ]

    def behave(body: Body, times: int) -> Response:
        return faults[times] if "text 0" in body["input"] and times < 3 else well(body)

    rig.serve(behave)
    rig.fetch()
    np.testing.assert_allclose(rig.encoder().encode_documents(TEXTS), unit(TEXTS), rtol=1e-6)


@pytest.mark.parametrize(
    "reply",
    [
        {"data": []},
        {"data": [{"index": 0, "embedding": [1.0] * DIM}]},
        {"data": [{"index": row, "embedding": [1.0] * (DIM + row % 2)} for row in range(4)]},
        {"data": [{"index": row, "embedding": [1.0] * DIM} for row in (0, 1, 2, 2)]},
        {"data": [{"index": str(row), "embedding": [1.0] * DIM} for row in range(4)]},
        {"data": [{"index": float("inf"), "embedding": [1.0] * DIM} for row in range(4)]},
        {"data": [{"index": row, "embedding": [10**400] * DIM} for row in range(4)]},
        {"data": [{"index": row, "embedding": "AAAA"} for row in range(4)]},
        {"data": [{"index": row, "embedding": 1.0} for row in range(4)]},
        [],
        b"<html>",
    ],
)
def test_reply_that_is_no_list_of_vectors_is_refused(rig: Rig, reply: Any) -> None:
    server = rig.serve(lambda body, times: Response(reply))
    with pytest.raises(InputError, match="expected vectors, got none for a request of 4 texts .invalid response"):
        rig.fetch()
    assert reply == b"<html>" or len(server.received) == 3  # not tried again: another attempt would end like it


def test_error_object_with_status_200_is_quoted(rig: Rig) -> None:
    rig.serve(lambda body, times: Response({"error": {"message": "no capacity"}}))
    with pytest.raises(InputError, match="expected vectors, got none .* .invalid response: .*no capacity"):
        rig.fetch()


def test_vectors_without_index_are_in_order(rig: Rig) -> None:
    rig.serve(lambda body, times: Response({"data": [{"embedding": vector(text)} for text in body["input"]]}))
    rig.fetch()
    np.testing.assert_allclose(rig.encoder().encode_documents(TEXTS), unit(TEXTS), rtol=1e-6)


def test_vectors_of_queries_that_have_moved_are_refused(rig: Rig) -> None:
    options = {"query_options": {"input_type": "query"}}
    server = rig.serve(**options)
    rig.fetch()
    rig.encoder().encode_queries(["old"], [None])
    server.behave = lambda body, times: Response(
        embeddings([text + " moved" if "input_type" in body else text for text in body["input"]])
    )
    rig.encoder().encode_documents(["new"])
    with pytest.raises(InputError, match="got others: a cosine of"):
        rig.encoder().encode_queries(["new"], [None])


def test_server_that_gets_another_model_meanwhile_is_refused(rig: Rig) -> None:
    server = rig.serve()
    rig.fetch()

    def behave(body: Body, times: int) -> Response:
        if "text 0" in body["input"]:
            server.behave = lambda body, times: Response(embeddings([f"moved {text}" for text in body["input"]]))
        return well(body)

    server.behave = behave
    with pytest.raises(InputError, match="got others: a cosine of"):
        rig.encoder().encode_documents(TEXTS)


def test_web_page_is_refused(rig: Rig) -> None:
    rig.serve(lambda body, times: Response(b"<html>", headers={"Content-Type": "text/html"}))
    with pytest.raises(InputError, match=r"fetch.remote.url: expected a server of embeddings, got a web page"):
        rig.fetch()


def test_vector_that_is_not_finite_or_zero_is_named(rig: Rig) -> None:
    server = rig.serve()
    rig.fetch()
    for wrong, message in ((float("nan"), "expected finite vectors"), (0.0, "expected nonzero vectors")):
        server.behave = lambda body, times, wrong=wrong: Response(
            embeddings(body["input"], lambda text: [wrong] * DIM if text == "text 7" else vector(text))
        )
        with pytest.raises(InputError, match=f"documents: {message}, got .*'text 7'"):
            rig.encoder().encode_documents(TEXTS)


def test_probe_that_is_not_finite_is_refused(rig: Rig) -> None:
    rig.serve(lambda body, times: Response(embeddings(body["input"], lambda text: [float("nan")] * DIM)))
    with pytest.raises(InputError, match="fetch.remote: expected vectors that are finite and not zero, got others"):
        rig.fetch()
    assert not (rig.folder / "remote").exists()


def test_other_dimensions_than_when_it_was_fetched_are_refused(rig: Rig) -> None:
    server = rig.serve()
    rig.fetch()
    server.behave = lambda body, times: Response(embeddings(body["input"], lambda text: vector(text, 6)))
    with pytest.raises(InputError, match="expected vectors of 8 dimensions, as it had when it was fetched, got 6"):
        rig.encoder().encode_documents(TEXTS)


def test_server_that_does_not_shorten_vectors_is_refused(rig: Rig) -> None:
    rig.serve(dimensions=4)
    with pytest.raises(InputError, match="expected vectors of one number of dimensions, .* got 4 and 8; write"):
        rig.fetch()


def test_budget_ends_the_requests_and_is_named(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETUNE_LLM_CONCURRENCY", "1")
    server = rig.serve(budget={"tokens": 75})  # 60 are spent when it is fetched, 30 before the first text
    rig.fetch()
    with pytest.raises(InputError, match="expected vectors, got none for a request of 2 texts .over budget"):
        rig.encoder().encode_documents(TEXTS)
    server.received.clear()
    rig.encoder().encode_documents(TEXTS[:8])  # came before
    assert server.received == []


def test_key_of_the_named_variable_is_sent_and_shown_nowhere(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    server = rig.serve(key_variable="OTHER_KEY")
    monkeypatch.delenv("OTHER_KEY", raising=False)
    with pytest.raises(InputError, match="OTHER_KEY: expected the key of fetch.remote in the environment, found none"):
        rig.fetch()
    monkeypatch.setenv("OTHER_KEY", KEY)
    folder = rig.fetch()
    assert {request.headers["authorization"] for request in server.received} == {f"Bearer {KEY}"}
    assert KEY not in "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    server.behave = lambda body, times: error(401, f"no such key {KEY}")
    with pytest.raises(
        InputError, match=r"OTHER_KEY: expected a key that .* accepts, got status 401: no such key \*\*\*"
    ):
        rig.fetch()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://", "expected an address that begins with http"),
        ("http://localhost:99999/v1", "expected an address that begins with http"),
        ("https://me:secret@localhost/v1", "expected an address without a password and without a query"),
        ("https://localhost/v1?key=secret", "expected an address without a password and without a query"),
    ],
)
def test_address_that_is_malformed_or_has_a_secret_is_refused(rig: Rig, url: str, message: str) -> None:
    rig.entry = Endpoint.parse("fetch.remote", ENTRY | {"url": url})
    with pytest.raises(InputError, match=f"params.yaml: fetch.remote.url: {message}") as caught:
        rig.fetch()
    assert "secret" not in str(caught.value)


def test_key_that_cannot_be_sent_is_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.serve(key_variable="OTHER_KEY")
    monkeypatch.setenv("OTHER_KEY", "schl\u00fcssel")
    with pytest.raises(InputError, match="OTHER_KEY: expected printable ASCII"):
        rig.fetch()


def test_server_that_is_not_there_is_named(rig: Rig) -> None:
    rig.entry = Endpoint.parse("fetch.remote", ENTRY | {"url": "http://127.0.0.1:9/v1"})
    with pytest.raises(InputError, match="fetch.remote.url: expected a server at http://127.0.0.1:9/v1, got"):
        rig.fetch()


def test_unknown_model_is_named(rig: Rig) -> None:
    rig.serve(lambda body, times: error(404, "no such model"))
    with pytest.raises(InputError, match="fetch.remote.model: expected a model that .* has, got 'm' and status 404"):
        rig.fetch()


def test_limits_and_keys_do_not_change_what_is_cached(rig: Rig) -> None:
    server = rig.serve()
    rig.fetch()
    rig.encoder().encode_documents(TEXTS)
    path = rig.folder / "remote/endpoint.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["entry"] |= {"timeout_s": 5.0, "texts_per_request": 2, "budget": {"tokens": 10**6, "cost": None}}
    path.write_text(json.dumps(content), encoding="utf-8")
    server.received.clear()
    rig.encoder().encode_documents(TEXTS)
    assert server.received == []
    content["entry"] |= {"document_options": {"task": "retrieval"}}
    path.write_text(json.dumps(content), encoding="utf-8")
    rig.encoder().encode_documents(TEXTS)
    assert set(asked(server)) == {*PROBE, *TEXTS}


def test_llama_cpp_is_a_model_of_the_matrix(rig: Rig) -> None:
    url = os.environ.get("LLAMA_CPP_URL")
    if url is None:
        pytest.skip(
            "needs llama-server --embeddings with a text model, and LLAMA_CPP_URL, such as http://127.0.0.1:8080/v1"
        )
    rig.entry = Endpoint.parse("fetch.remote", ENTRY | {"url": url, "query_prefix": "query: "})
    rig.fetch()
    texts = ["the sum of two matrices", "a prime number", "the moon pulls the sea"]
    documents = rig.encoder().encode_documents(texts)
    np.testing.assert_allclose(np.linalg.norm(documents, axis=1), 1.0, rtol=1e-6)
    queries = rig.encoder().encode_queries(texts, [None] * len(texts))
    assert ((queries * documents).sum(axis=1) < 0.9999).all()  # the prefix was sent
    with pytest.raises(InputError, match="expected a vector of the text 'word .*, got status 4"):
        rig.encoder().encode_documents(["word " * 20_000])


def test_endpoint_has_no_weights(rig: Rig) -> None:
    rig.serve()
    with pytest.raises(InputError, match="expected a model with weights, got an endpoint"):
        load_model(rig.fetch(), "cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "localhost:8080"}, "url"),
        ({"key_variable": "sk-123"}, "key_variable"),
        ({"texts_per_request": 0}, "texts_per_request"),
        ({"budget": {"cost": 1.0}}, "budget.cost: expected prices beside it"),
        ({"query_max_length": 64}, "query_max_length"),
        ({"query_options": {"model": "other"}}, "query_options: expected other fields, got model, which is sent"),
    ],
)
def test_entry_is_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse_entry("fetch.remote", ENTRY | {"url": "http://127.0.0.1:9/v1"} | change)
