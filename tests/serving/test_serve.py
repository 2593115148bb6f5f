"""The server, asked by OpenAI's client and by hand: evaluated vectors, plain refusals, and no text in the log."""

import asyncio
import base64
import gc
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pytest

from retune.core.errors import InputError, TextError
from retune.core.records import write_dataset
from retune.encoding.encoder import Encoder
from retune.exporting import onnx_format
from retune.exporting.deployment import compare_deployment
from retune.exporting.export import export
from retune.exporting.task import Task
from retune.fetching.fetch import fetch
from retune.models.directory import read_encoding
from retune.params.export import Export, Parity
from retune.params.fetch import Endpoint
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.serving import bodies, serve
from retune.serving.served import CountingEncoder, Embedder, Pair, Text, load_served
from stages import parity
from tests.support.parameters import COMPUTE, EXPORT
from tests.support.repository import REPOSITORY
from tests.support.small_sets import small_dataset
from tests.support.systems import write_bm25, write_cross_encoder

NEEDED = "serving needs requirements-serve.txt"
uvicorn = pytest.importorskip("uvicorn", reason=NEEDED)
app = pytest.importorskip("retune.serving.app", reason=NEEDED, exc_type=ImportError)

TEXTS = ["sum", "graph edge of a matrix", "prime factor", "integer " * 60]


@contextmanager
def running(service: Any, key: str = "") -> Iterator[str]:
    """Run a server in a thread; yield its address."""
    listening = serve._listen("127.0.0.1", "0")
    server = uvicorn.Server(uvicorn.Config(app.make_app(service, key), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that reads queries with a prefix."""
    folder = tmp_path_factory.mktemp("served") / "tiny"
    folder.mkdir()
    for path in tiny_model.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "retune.json").unlink()
    settings = read_encoding(tiny_model).model_dump() | {"query_prefix": "matrix "}
    (folder / "retune.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with running(app.Service("tiny", load_served(model, COMPUTE, "float32"), queue_limit=10**7)) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def embed(client: openai.OpenAI, texts: list[str], kind: str = "document", **options: Any) -> np.ndarray:
    reply = client.embeddings.create(model="tiny", input=texts, extra_body={"input_type": kind}, **options)
    assert [row.index for row in reply.data] == list(range(len(texts)))
    return np.array([row.embedding for row in reply.data], dtype=np.float32)


@pytest.mark.parametrize("encoding_format", ["float", "base64", None])
def test_vectors_have_the_bits_of_evaluation(model: Path, client: openai.OpenAI, encoding_format: str | None) -> None:
    options = {} if encoding_format is None else {"encoding_format": encoding_format}
    encoder = Encoder.load(model, COMPUTE, dtype="float32")
    if encoding_format == "base64":  # the client leaves what was asked for as it is
        reply = client.embeddings.create(
            model="tiny", input=TEXTS, encoding_format="base64", extra_body={"input_type": "document"}
        )
        served = np.stack([np.frombuffer(base64.b64decode(str(row.embedding)), "<f4") for row in reply.data])
    else:
        served = embed(client, TEXTS, **options)
        queries = embed(client, TEXTS, "query", **options)
        np.testing.assert_array_equal(queries, encoder.encode_queries(TEXTS, [None] * len(TEXTS)))
    np.testing.assert_array_equal(served, encoder.encode_documents(TEXTS))


@pytest.mark.slow
@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize(("format", "dtype"), [("onnx", "int8"), ("onnx", "float32"), ("safetensors", "float16")])
def test_served_export_has_the_bits_of_evaluation(format: str, dtype: str, model: Path, tmp_path: Path) -> None:
    for package in onnx_format.PACKAGES if format == "onnx" else ():
        pytest.importorskip(package, reason="exports to ONNX need requirements-export.txt")
    write_dataset(tmp_path / "small", small_dataset())
    params = Export.parse("export.served", EXPORT | {"format": format, "dtype": dtype})
    export(Task(model, tmp_path / "small", params, COMPUTE, seed=3), tmp_path / "served")
    encoder = Encoder.load(tmp_path / "served", COMPUTE, dtype="float32")
    service = app.Service("tiny", load_served(tmp_path / "served", COMPUTE, "float32"), queue_limit=10**7)
    with running(service) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        np.testing.assert_array_equal(embed(client, TEXTS), encoder.encode_documents(TEXTS))
        np.testing.assert_array_equal(embed(client, TEXTS, "query"), encoder.encode_queries(TEXTS, [None] * len(TEXTS)))


def test_bits_do_not_depend_on_other_requests(model: Path, client: openai.OpenAI) -> None:
    rng = np.random.default_rng(0)
    requests = [rng.choice(TEXTS, rng.integers(1, 6)).tolist() for _ in range(40)]
    kinds = rng.choice(["query", "document"], 40).tolist()
    with ThreadPoolExecutor(8) as pool:
        served = list(pool.map(lambda request: embed(client, *request), zip(requests, kinds, strict=True)))
    encoder = Encoder.load(model, COMPUTE, dtype="float32")
    for texts, kind, vectors in zip(requests, kinds, served, strict=True):
        for text, vector in zip(texts, vectors, strict=True):
            alone = encoder.encode_queries([text], [None]) if kind == "query" else encoder.encode_documents([text])
            np.testing.assert_array_equal(vector, alone[0])


def test_fast_vectors_are_those_of_evaluation_but_for_their_last_bits(model: Path, scorer: Path) -> None:
    fast = load_served(model, COMPUTE, "float32", is_fast=True)
    shapes = []
    run = fast._encoder.runner.forward
    fast._encoder.runner.forward = lambda ids, length: shapes.append((len(ids), length)) or run(ids, length)
    found = np.stack([answer.value for text in TEXTS for answer in fast.run([Text("documents", text, 0)])])
    assert [rows for rows, _ in shapes] == [1] * len(TEXTS)  # nothing is filled up
    np.testing.assert_allclose(found, Encoder.load(model, COMPUTE).encode_documents(TEXTS), atol=1e-5)
    score = load_served(scorer, COMPUTE, "float32", is_fast=True).run([Pair("prime", "graph")])[0].value
    exact = CrossEncoderScorer.load(scorer, COMPUTE, dtype="float32").score(["prime"], ["graph"])[0]
    assert score == pytest.approx(exact, abs=1e-5)


def test_dimensions_are_the_first_scaled_to_length_1(client: openai.OpenAI) -> None:
    whole, head = embed(client, TEXTS), embed(client, TEXTS, dimensions=8)
    assert head.shape == (len(TEXTS), 8)
    np.testing.assert_allclose(head, whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True), rtol=1e-6)


def test_usage_counts_the_tokens_that_the_model_read(model: Path, client: openai.OpenAI) -> None:
    encoder = Encoder.load(model, COMPUTE, dtype="float32")
    reply = client.embeddings.create(model="tiny", input=TEXTS, extra_body={"input_type": "document"})
    read = [len(ids) for ids in encoder.tokenize_documents(TEXTS)]
    assert read[-1] == encoder.encoding.document_max_length  # the last text is cut
    assert reply.usage.prompt_tokens == reply.usage.total_tokens == sum(read)


def test_one_text_may_stand_alone(client: openai.OpenAI) -> None:
    reply = client.embeddings.create(model="tiny", input="sum", extra_body={"input_type": "document"})
    np.testing.assert_array_equal(np.array(reply.data[0].embedding, np.float32), embed(client, ["sum"])[0])


def test_models_and_health(client: openai.OpenAI, url: str) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "retune"
    with pytest.raises(openai.NotFoundError, match="expected 'tiny', the model of this server, got 'other'"):
        client.models.retrieve("other")
    assert httpx2.get(f"{url}/health").json() == {"status": "ok", "model": "tiny"}


GOOD = {"model": "tiny", "input": ["sum"], "input_type": "document"}


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"model": "other"}, 404, "model: expected 'tiny', the model of this server, got 'other'"),
        ({"input": []}, 400, "input: expected at least one text, got none"),
        ({"input": ["sum", " "]}, 400, "input: expected texts, got an empty one at position 1"),
        ({"input": ""}, 400, "input: expected texts, got an empty one at position 0"),
        ({"input": [[1, 2]]}, 400, "input: expected a text or a list of texts, got something else, such as token ids"),
        ({"input": ["sum", "\ud800"]}, 400, "input: expected Unicode, got half a character at position 1"),
        ({"input": ["sum " * 30_000]}, 400, "input: expected at most 100,000 characters, got 120,000 at position 0"),
        ({"input": None}, 400, "input: expected a text or a list of texts"),
        ({"input": ["a"] * 100_000}, 400, "input: expected at most 2,048 texts, got 100,000; send several requests"),
        ({"input_type": None}, 400, "input_type: expected query or document, as this model reads them differently"),
        ({"input_type": "passage"}, 400, "input_type: input should be 'query' or 'document'"),
        ({"dimensions": 33}, 400, "dimensions: expected at most 32, got 33"),
        ({"dimensions": 0}, 400, "dimensions: input should be greater than 0"),
        ({"encoding_format": "hex"}, 400, "encoding_format: input should be 'float' or 'base64'"),
        ({"truncate": True}, 400, "truncate: unknown; expected one of model, input, input_type"),
    ],
)
def test_bad_request_is_refused_with_a_reason(url: str, change: dict[str, Any], status: int, message: str) -> None:
    reply = httpx2.post(f"{url}/v1/embeddings", content=json.dumps(GOOD | change))
    error = reply.json()["error"]
    assert reply.status_code == status
    assert message in error["message"]
    assert error["param"] == next(iter(change))
    assert "sum" not in reply.text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000])
def test_body_that_is_no_json_object_is_refused(url: str, body: bytes) -> None:
    reply = httpx2.post(f"{url}/v1/embeddings", content=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"]


def test_body_of_10_mb_is_refused(url: str) -> None:
    for content in (b" " * 10_000_000, iter([b" " * 1_000_000] * 10)):  # the second says nothing about its length
        reply = httpx2.post(f"{url}/v1/embeddings", content=content)
        assert reply.status_code == 413
        assert f"at most {bodies.MAX_BYTES:,} bytes" in reply.json()["error"]["message"]


def test_unknown_path_and_method(url: str) -> None:
    assert "there are /v1/embeddings" in httpx2.get(f"{url}/v2/embed").json()["error"]["message"]
    assert httpx2.get(f"{url}/v1/embeddings").status_code == 405


def test_embedding_model_does_not_rerank(url: str) -> None:
    reply = httpx2.post(f"{url}/rerank", json={"model": "tiny", "query": "sum", "documents": ["graph"]})
    assert reply.json()["error"]["message"] == "tiny is an embedding model; ask /v1/embeddings"


def test_key_is_required_where_there_is_one(model: Path) -> None:
    service = app.Service("tiny", load_served(model, COMPUTE, "float32"), queue_limit=10_000)
    with running(service, key="s3cret") as url:
        other = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        with other, pytest.raises(openai.AuthenticationError, match="expected the server's key"):
            embed(other, ["sum"])
        with openai.OpenAI(base_url=f"{url}/v1", api_key="s3cret", max_retries=0) as client:
            assert embed(client, ["sum"]).shape == (1, 32)
        assert httpx2.get(f"{url}/health").status_code == 200
        for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer s3cre"}):
            assert httpx2.get(f"{url}/v1/models", headers=headers).status_code == 401


def test_full_queue_is_503_and_says_when_to_ask_again(model: Path) -> None:
    service = app.Service("tiny", load_served(model, COMPUTE, "float32"), queue_limit=8)
    with running(service) as url:
        reply = httpx2.post(f"{url}/v1/embeddings", json=GOOD | {"input": ["sum"] * 3})
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) >= 1
        assert reply.json()["error"]["type"] == "server_overloaded"
        assert httpx2.post(f"{url}/v1/embeddings", json=GOOD).status_code == 200


def test_client_that_has_gone_gives_up_its_place(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = load_served(model, COMPUTE, "float32")
    turns, may_go, has_begun = [], threading.Event(), threading.Event()

    def run(texts: Any) -> Any:
        turns.append([text.text for text in texts])
        has_begun.set()
        assert may_go.wait(20.0)
        return type(served).run(served, texts)

    monkeypatch.setattr(served, "run", run)
    service = app.Service("tiny", served, queue_limit=10_000)
    with running(service) as url, ThreadPoolExecutor() as pool:
        first = pool.submit(httpx2.post, f"{url}/v1/embeddings", json=GOOD)
        assert has_begun.wait(20.0)
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{url}/v1/embeddings", json=GOOD | {"input": ["graph"]}, timeout=0.2)
        deadline = time.monotonic() + 20.0
        while not all(job.is_abandoned for job in service.waiting._jobs) and time.monotonic() < deadline:
            time.sleep(0.01)
        may_go.set()
        assert first.result(20.0).status_code == 200
        assert httpx2.post(f"{url}/v1/embeddings", json=GOOD | {"input": ["prime"]}).status_code == 200
    assert turns == [["sum"], ["prime"]]


def test_requests_in_flight_are_answered_when_the_server_stops(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = load_served(model, COMPUTE, "float32")
    may_go, waiting = threading.Event(), threading.Semaphore(0)

    def run(texts: Any) -> Any:
        assert may_go.wait(20.0)
        return type(served).run(served, texts)

    monkeypatch.setattr(served, "run", run)
    service = app.Service("tiny", served, queue_limit=10_000)
    submit = service.waiting.submit

    def submit_and_tell(*args: Any) -> Any:
        job = submit(*args)
        waiting.release()
        return job

    monkeypatch.setattr(service.waiting, "submit", submit_and_tell)
    with ThreadPoolExecutor() as pool:
        with running(service) as url:
            asked = [pool.submit(httpx2.post, f"{url}/v1/embeddings", json=GOOD) for _ in range(3)]
            for _ in asked:
                assert waiting.acquire(timeout=20.0)
            threading.Timer(0.5, may_go.set).start()  # the server is told to stop before
        assert [request.result(20.0).status_code for request in asked] == [200] * 3
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{url}/health")


def test_log_has_no_text(model: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG, "retune")
    service = app.Service("tiny", load_served(model, COMPUTE, "float32"), queue_limit=10_000)
    with running(service) as url:
        for body in (
            GOOD | {"input": ["prime " * 90]},
            GOOD | {"input": ["prime"], "x": 1},
            GOOD | {"input": ["prime", ""]},
        ):
            httpx2.post(f"{url}/v1/embeddings?text=prime", json=body)
    assert "prime" not in caplog.text + "".join(capfd.readouterr())


@pytest.fixture(scope="module")
def scorer(tiny_transformer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cross_encoder(tiny_transformer, tmp_path_factory.mktemp("served") / "cross")


def test_reranking_has_the_scores_of_evaluation(scorer: Path) -> None:
    expected = CrossEncoderScorer.load(scorer, COMPUTE, dtype="float32").score(["prime"] * len(TEXTS), TEXTS)
    with running(app.Service("cross", load_served(scorer, COMPUTE, "float32"), queue_limit=10_000)) as url:
        body = {"model": "cross", "query": "prime", "documents": TEXTS}
        reply = httpx2.post(f"{url}/v1/rerank", json=body).json()
        scores = [result["relevance_score"] for result in reply["results"]]
        order = [result["index"] for result in reply["results"]]
        assert order == np.argsort(-expected, kind="stable").tolist()
        np.testing.assert_array_equal(np.array(scores, np.float32), expected[order])
        assert reply["usage"]["total_tokens"] > len(TEXTS)
        best = httpx2.post(f"{url}/rerank", json=body | {"top_n": 1, "return_documents": True}).json()["results"]
        assert best == [reply["results"][0] | {"document": {"text": TEXTS[order[0]]}}]
        refused = httpx2.post(f"{url}/v1/embeddings", json=GOOD | {"model": "cross"}).json()
        assert refused["error"]["message"] == "cross is a cross-encoder; ask /rerank"


def test_server_is_a_model_of_the_matrix_and_has_parity(
    url: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(tmp_path / "small", small_dataset())
    limits = Parity(texts=10, least=0.999999, median=0.999999)
    for options, is_alike in (({"input_type": "query"}, True), ({"input_type": "document"}, False)):
        entry = {"source": "endpoint", "url": f"{url}/v1", "model": "tiny", "timeout_s": 20.0, "texts_per_request": 3}
        entry |= {"query_options": options, "document_options": {"input_type": "document"}}
        fetch(Endpoint.parse("fetch.remote", entry), tmp_path / "remote", where="fetch.remote")
        served = Encoder.load(tmp_path / "remote", COMPUTE).encode_queries(TEXTS, [None] * len(TEXTS))
        ours = Encoder.load(model, COMPUTE, dtype="float32").encode_queries(TEXTS, [None] * len(TEXTS))
        assert np.allclose(served, ours, atol=1e-6) == is_alike
        compared = (tmp_path / "remote", model, tmp_path / "small", limits, COMPUTE)
        if is_alike:
            line = compare_deployment(*compared, seed=0)
            assert line.startswith("remote: the vectors of 4 texts are those of tiny: cosine 1.00000 at the least")
            for folder, place in ((model, "models/tiny"), (tmp_path / "small", "data/datasets/small")):
                shutil.copytree(folder, tmp_path / place)
            shutil.copytree(tmp_path / "remote", tmp_path / "models/remote")
            values = {"seed": 1, "compute": {"device": "cpu", "token_budget": 512}}
            values["defaults"] = {"export": {"parity": limits.model_dump()}}
            (tmp_path / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
            monkeypatch.chdir(tmp_path)
            parity.main("remote", "tiny", "small")
            assert capsys.readouterr().out.strip() == line
        else:
            with pytest.raises(
                InputError, match="remote.parity.least: expected at least 0.999999, got .* see whether it"
            ):
                compare_deployment(*compared, seed=0)
    with pytest.raises(InputError, match="parity: expected an endpoint and the model it runs, got tiny and remote"):
        compare_deployment(model, tmp_path / "remote", tmp_path / "small", limits, COMPUTE, seed=0)


def test_log_has_no_text_of_an_abandoned_request_that_fails(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    served = load_served(model, COMPUTE, "float32")
    may_go, has_begun = threading.Event(), threading.Event()

    def run(texts: Any) -> Any:
        has_begun.set()
        assert may_go.wait(20.0)
        raise TextError(f"no vector of {texts[0].text}")

    monkeypatch.setattr(served, "run", run)
    service = app.Service("tiny", served, queue_limit=10_000)
    with running(service) as url:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{url}/v1/embeddings", json=GOOD | {"input": ["prime"]}, timeout=0.3)
        assert has_begun.wait(20.0)
        may_go.set()
        reply = httpx2.post(f"{url}/v1/embeddings", json=GOOD | {"input": ["sum"]})
        assert (reply.status_code, reply.json()["error"]["message"]) == (400, "no vector of sum")
        gc.collect()
    assert "prime" not in caplog.text + "".join(capfd.readouterr())


def test_failure_that_is_no_fault_of_a_text_is_500_without_details(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = load_served(model, COMPUTE, "float32")

    def run(texts: Any) -> Any:
        raise InputError("/home/secret: expected the files that were there")

    monkeypatch.setattr(served, "run", run)
    with running(app.Service("tiny", served, queue_limit=10_000)) as url:
        reply = httpx2.post(f"{url}/v1/embeddings", json=GOOD)
        assert reply.status_code == 500
        assert reply.json()["error"]["message"] == "the server failed; its log says why"


def test_client_that_stalls_in_the_body_is_refused_and_one_that_aborts_leaves_no_trace(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(app, "BODY_S", 0.2)
    head = b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    with running(app.Service("tiny", load_served(model, COMPUTE, "float32"), queue_limit=10_000)) as url:
        place = ("127.0.0.1", int(url.rpartition(":")[2]))
        with socket.create_connection(place) as stalled:
            stalled.sendall(head)
            stalled.settimeout(20.0)
            assert stalled.recv(1000).startswith(b"HTTP/1.1 408 ")
        with socket.create_connection(place) as aborted:
            aborted.sendall(head)
        assert httpx2.post(f"{url}/v1/embeddings", json=GOOD).status_code == 200
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())


def test_vector_that_does_not_exist_names_the_place_in_its_request(url: str, model: Path) -> None:
    class Broken(CountingEncoder):
        def encode_documents(self, texts: Any, *, ids: Any = None) -> np.ndarray:
            if ids and "graph" in texts:
                raise TextError(f"no vector for {ids[texts.index('graph')]}")
            return super().encode_documents(texts, ids=ids)

    service = app.Service("tiny", Embedder(Broken.load(model, COMPUTE, devices=())), queue_limit=10_000)
    with running(service) as url:
        body = GOOD | {"input": ["sum"] * 100 + ["graph"]}
        reply = httpx2.post(f"{url}/v1/embeddings", json=body).json()
        assert reply["error"]["message"] == "no vector for text 100 of the request"


def test_what_cannot_be_served_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent: expected a model, found none; run make repro, or name another"):
        load_served(tmp_path / "absent", COMPUTE, "float32")
    (tmp_path / "remote").mkdir()
    (tmp_path / "remote/endpoint.json").touch()
    for folder in (write_bm25(tmp_path / "bm25"), tmp_path / "remote"):
        with pytest.raises(InputError, match="got BM25, a table of vectors, an endpoint or a system of two models"):
            load_served(folder, COMPUTE, "float32")


def test_cross_encoder_without_weights_is_refused_at_once(scorer: Path, tmp_path: Path) -> None:
    shutil.copytree(scorer, tmp_path / "empty")
    (tmp_path / "empty/model.safetensors").unlink()
    with pytest.raises(InputError, match="empty: expected a model, got"):
        load_served(tmp_path / "empty", COMPUTE, "float32")


def test_address_that_others_reach_needs_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RETUNE_SERVE_KEY", raising=False)
    for host in ("0.0.0.0", "::", "192.168.0.1", "example.org"):
        with pytest.raises(InputError, match="RETUNE_SERVE_KEY: expected a key"):
            serve.serve(tmp_path, host, "0", is_fast=False)
    assert all(serve._is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3"))


def test_replies_are_sent_at_once() -> None:
    async def sends_at_once(listening: socket.socket) -> bool:
        accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        server = await asyncio.start_server(lambda _, writer: accepted.put_nowait(writer), sock=listening)
        async with server:
            _, client = await asyncio.open_connection(*listening.getsockname())
            served = await accepted.get()
            connection = served.get_extra_info("socket")
            delays = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
            for writer in (client, served):
                writer.close()
        return not delays

    with serve._listen("127.0.0.1", "0") as listening:  # its own way of listening decides it
        assert asyncio.run(sends_at_once(listening))


def test_busy_port_and_bad_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(InputError, match=f"127.0.0.1:{port}: cannot listen there: Address already in use; name"):
            serve.serve(tmp_path, "127.0.0.1", port, is_fast=False)
    for port in ("x", "70000", "-1"):
        with pytest.raises(InputError, match="port: expected a whole number from 0 to 65535"):
            serve.serve(tmp_path, "127.0.0.1", port, is_fast=False)


@pytest.mark.slow
def test_command_serves_until_it_is_told_to_stop(model: Path, scorer: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/tiny").symlink_to(model)
    (tmp_path / "models/cross").symlink_to(scorer)
    (tmp_path / "params.yaml").write_text("compute: {device: cpu, token_budget: 512}\neval: {dtype: float32}\n")
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}", "PYTHONUNBUFFERED": "1"}
    long = {"model": "cross", "query": "prime", "documents": ["prime " * 90]}
    for name, path, body in (("tiny", "/v1/embeddings", GOOD), ("cross", "/rerank", long)):
        command = [sys.executable, "-m", "stages.serve", name, "--port", "0"]
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            line = next(line for line in process.stderr if "serving on" in line)
            url = line.split("serving on ")[1].strip()
            assert httpx2.post(f"{url}{path}", json=body).status_code == 200
            process.send_signal(signal.SIGTERM)
            rest = process.stderr.read()
            assert process.wait(30) in (0, -signal.SIGTERM)
        assert rest == ""  # neither a traceback nor how many texts were cut
