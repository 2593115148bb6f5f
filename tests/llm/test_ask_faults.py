"""Whatever a server does, each request has one reply or one problem, and the counts are exact."""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.llm import attempts
from retune.llm.ask import ask
from retune.llm.attempts import Patience
from retune.llm.replies import Reply
from tests.llm.conftest import KEY
from tests.support.commands import inline
from tests.support.llm_requests import ask_for, llm, request
from tests.support.llm_server import Body, LlmServer, Response, completion, error, reply
from tests.support.repository import succeed

Start = Callable[..., LlmServer]
FINE = reply({"query": "fine"})


def first(response: Response) -> Callable[[Body, int], Response]:
    """Behave in some way once for each request, then well."""
    return lambda body, before: FINE if before else response


@pytest.mark.parametrize(
    "response",
    [
        error(429, "slow down"),
        error(429, "slow down", {"Retry-After": "0"}),
        error(500, "oh"),
        error(503, "busy", {"Retry-After": "0"}),
        Response(b"<html>bad gateway", 502, {"Content-Type": "text/html"}),
        Response(is_dropped=True),
        Response(completion("half"), is_cut=True),
        Response(b'{"choices": [{"mess'),
        Response(b'{"error": {"message": "upstream"}}'),
        Response(b"[" * 100_000),
        Response(FINE.body, delay_s=0.6),
    ],
    ids=["429", "429 with time", "500", "503", "502", "dropped", "cut", "broken JSON", "no choices", "nested", "slow"],
)
def test_fault_that_passes_is_retried_and_nothing_is_lost(response: Response, start: Start) -> None:
    server = start(first(response))
    found, ledger = ask_for("a", "b", "c", timeout_s=0.3)
    assert found == [Reply({"query": "fine"}, "")] * 3
    assert (ledger.spent.sent, ledger.spent.retries, ledger.spent.repairs, ledger.spent.replies) == (6, 3, 0, 3)
    assert len(server.received) == 6
    assert ledger.tokens.input == 30


def test_one_timeout_among_other_faults_is_retried(start: Start) -> None:
    faults = [error(500, "oh"), Response(FINE.body, delay_s=0.6)]
    start(lambda body, before: faults[before] if before < len(faults) else FINE)
    found, ledger = ask_for("a", timeout_s=0.3)
    assert found == [Reply({"query": "fine"}, "")]
    assert ledger.spent.sent == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (error(429, "slow down"), "server error 429"),
        (error(500, "oh"), "server error 500"),
        (error(503, "busy"), "server error 503"),
        (Response(is_dropped=True), "connection lost"),
        (Response(b'{"choices": [{"mess'), "invalid response"),
        (Response(FINE.body, delay_s=0.6), "timed out"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_fault_that_stays_is_a_problem_which_is_not_kept(
    response: Response,
    problem: str,
    start: Start,
    replies: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RETUNE_LLM_CONCURRENCY", "1")

    def behave(body: Body, before: int) -> Response:
        return response if body["messages"][1]["content"] == "bad" else FINE

    server = start(behave)
    found, ledger = ask_for("a", "bad", "b", timeout_s=0.2)
    assert [reply.problem for reply in found] == ["", problem, ""]
    assert (ledger.problems, ledger.unanswered, ledger.answered) == ({problem: 1}, 1, 2)
    attempts = 2 if problem == "timed out" else 4  # of the bad one, besides 2 fine ones
    assert (ledger.spent.sent, ledger.spent.retries) == (2 + attempts, attempts - 1)
    assert len(list(replies.rglob("*.json"))) == 2
    assert f"gave up a request, {problem}" in caplog.text
    server.behave = lambda body, before: FINE
    found, ledger = ask_for("a", "bad", "b")
    assert ([reply.problem for reply in found], ledger.spent.kept, ledger.spent.replies) == (["", "", ""], 2, 1)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_no_request_is_sent_before_the_server_said(form: str, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retune.llm.ask.START_INTERVAL_S", 0.0)  # both are sent before the first reply
    # a date has whole seconds, so 2 seconds from now is between 1 and 2
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server = start(first(error(429, "slow down", {"Retry-After": "0.8" if form == "seconds" else date})))
    began = time.monotonic()
    ask_for("a", "b")
    assert [received.at - began > 0.7 for received in server.received] == [False, False, True, True]


@pytest.mark.slow
@pytest.mark.parametrize("headers", [{"Retry-After": "0.05"}, {}], ids=["with time", "without"])
def test_server_that_limits_the_rate_answers_everything(
    headers: dict[str, str], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "PATIENCE", Patience(first_wait_s=0.01, longest_wait_s=0.1))
    windows: Counter[int] = Counter()

    def limited(body: Body, before: int) -> Response:
        window = int(time.monotonic() / 0.05)
        windows[window] += 1
        return FINE if windows[window] <= 2 else error(429, "two at most", headers)

    server = start(limited)
    found, ledger = ask_for(*map(str, range(40)))  # 16 at a time, and two in 50 ms are answered
    assert found == [Reply({"query": "fine"}, "")] * 40
    assert ledger.spent.sent == len(server.received) == 40 + ledger.spent.retries
    assert ledger.spent.retries > 40


def test_server_that_asks_for_a_day_is_not_waited_for(start: Start) -> None:
    start(lambda body, before: error(429, "come back tomorrow", {"Retry-After": "86400"}))
    found, ledger = ask_for("a")
    assert (found, ledger.spent.sent) == ([Reply(None, "server error 429")], 1)


def test_total_timeout_ends_waiting_and_asking(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETUNE_LLM_CONCURRENCY", "2")
    start(lambda body, before: Response(FINE.body, delay_s=1.5))  # two rounds end in time, with 1 s to spare
    ask_for("first")  # imports the client, which may take longer than all requests
    began = time.monotonic()
    found, ledger = ask_for(*map(str, range(20)), total_timeout_s=4.0)
    assert time.monotonic() - began < 5.5
    assert (ledger.answered, ledger.problems) == (4, {"out of time": 16})
    assert [reply.problem for reply in found] == [""] * 4 + ["out of time"] * 16


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (Response({"choices": []}), "empty reply"),
        (Response(completion("")), "empty reply"),
        (Response(completion(None)), "empty reply"),
        (Response(completion(None, refusal="I cannot")), "refused"),
        (Response(completion("", finish="content_filter")), "refused"),
        (Response(completion('{"query": "a"', finish="length")), "cut off"),
        (Response(completion("x" * 10_000_000)), "too long"),
        (error(400, "This model's maximum context length is 10 tokens"), "prompt too long"),
        (Response({"error": {"message": "no", "code": "content_filter"}}, 400), "refused"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_reply_without_a_text_is_kept_as_a_problem(
    response: Response, problem: str, start: Start, replies: Path
) -> None:
    server = start(lambda body, before: response)
    found, ledger = ask_for("a", "b")
    assert found == [Reply(None, problem)] * 2
    assert (ledger.problems, ledger.unanswered, ledger.spent.sent, ledger.spent.retries) == ({problem: 2}, 0, 2, 0)
    assert all(path.stat().st_size < 1000 for path in replies.rglob("*.json"))
    assert ask_for("a", "b")[0] == found
    assert len(server.received) == 2


def test_refusals_are_asked_for_again_as_the_page_says(start: Start, replies: Path) -> None:
    start(lambda body, before: FINE if before or body["messages"][1]["content"] == "a" else refusal)
    refusal = Response(completion(None, refusal="refused"))
    assert [reply.problem for reply in ask_for("a", "b")[0]] == ["", "refused"]
    command = next(command for command in inline("docs/language_models.md") if command.startswith("grep"))
    (path,) = succeed(command.replace("data/replies", str(replies)), replies).split()
    Path(path).unlink()
    found, ledger = ask_for("a", "b")
    assert (found, ledger.spent.kept) == ([Reply({"query": "fine"}, "")] * 2, 1)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("Sure! Here it is.", "not JSON"),
        ('{"query": "a"', "not JSON"),
        ('{"query": NaN}', "not JSON"),
        ('{"question": "a"}', "wrong schema"),
        ('{"query": 3}', "wrong schema"),
        ('{"query": "a", "system": "new"}', "wrong schema"),
        ('["a"]', "wrong schema"),
    ],
)
def test_unusable_text_is_repaired_once(content: str, problem: str, start: Start) -> None:
    server = start(
        lambda body, before: FINE if body["messages"][1]["content"] == "a" and before else Response(completion(content))
    )
    found, ledger = ask_for("a", "b")
    assert found == [Reply({"query": "fine"}, ""), Reply(None, problem)]
    assert (ledger.spent.sent, ledger.spent.repairs, ledger.spent.retries, ledger.spent.replies) == (4, 2, 0, 2)
    assert ledger.tokens.input == 40  # both texts were paid for
    repair = next(received for received in server.received if len(received.body["messages"]) > 2).body["messages"]
    assert [message["role"] for message in repair] == ["system", "user", "assistant", "user"]
    assert repair[2]["content"] == content
    assert repair[3]["content"].startswith("Your reply cannot be used: ")


def test_server_without_json_mode_gets_the_schema_in_the_prompt_from_then_on(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RETUNE_LLM_CONCURRENCY", "1")

    def plain(body: Body, before: int) -> Response:
        if "response_format" in body:
            return error(400, "response_format is not supported")
        return Response(completion('Sure:\n```json\n{"query": "fine"}\n```'))

    server = start(plain)
    found, ledger = ask_for("a", "b", "c")
    assert found == [Reply({"query": "fine"}, "")] * 3
    assert (ledger.spent.sent, ledger.spent.retries, ledger.spent.repairs) == (4, 0, 0)  # one more for the first
    assert '"required": ["query"]' in server.received[-1].body["messages"][0]["content"]
    assert server.received[-1].body["messages"][0]["content"].startswith("Ask.\n\nReply with one JSON object")
    assert server.received[-1].body["messages"][1] == {"role": "user", "content": "c"}
    assert caplog.text.count("takes no JSON schema") == 1


def test_server_that_wants_the_other_name_of_the_token_limit_gets_it(start: Start) -> None:
    def newer(body: Body, before: int) -> Response:
        if "max_tokens" in body:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return FINE

    server = start(newer)
    assert ask_for("a")[0] == [Reply({"query": "fine"}, "")]
    assert "response_format" in server.received[-1].body


def test_request_that_alone_is_rejected_is_a_problem(start: Start) -> None:
    start(lambda body, before: error(400, "no") if body["messages"][1]["content"] == "bad" else FINE)
    found, ledger = ask_for("a", "bad")
    assert [reply.problem for reply in found] == ["", "server error 400"]
    assert ledger.unanswered == 1


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (error(401, f"Incorrect API key provided: {KEY}"), "OPENAI_API_KEY: expected a key that .* got status 401"),
        (error(403, "no"), "OPENAI_API_KEY: expected a key that .* got status 403: no"),
        (error(402, "pay"), "OPENAI_API_KEY: expected an account with credit"),
        (Response({"error": {"message": "quota", "code": "insufficient_quota"}}, 429), "an account with credit"),
        (
            error(404, "The model small does not exist"),
            "llm.model: expected a model .* got 'small' and status 404: The",
        ),
        (error(400, "temperature is out of range"), "got for every request status 400: temperature is out of range"),
        (error(418, "teapot"), "OPENAI_BASE_URL: expected chat completions of .*, got status 418: teapot"),
        (Response(b"<html>", headers={"Content-Type": "text/html"}), "OPENAI_BASE_URL: .* got a web page"),
        (
            Response(b"", 308, {"Location": f"https://127.0.0.1:1/{KEY}"}),
            r"OPENAI_BASE_URL: .* got a redirect to 'https://127\.0\.0\.1:1/\*\*\*'; name the address",
        ),
    ],
    ids=["401", "403", "402", "quota", "404", "400", "418", "page", "redirect"],
)
def test_what_only_the_user_can_fix_stops_with_one_line(response: Response, message: str, start: Start) -> None:
    server = start(lambda body, before: response)
    with pytest.raises(InputError, match=message) as caught:
        ask_for("a", "b", "c")
    assert "\n" not in str(caught.value)
    assert len(server.received) <= 9  # once each; three dialects of a bad request


def test_server_that_is_not_there_is_named_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(InputError, match=r"^OPENAI_BASE_URL: expected a server at http://127.0.0.1:9/v1, got: "):
        ask_for("a", "b")


def test_server_that_stops_leaves_problems(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETUNE_LLM_CONCURRENCY", "1")
    start(lambda body, before: FINE if body["messages"][1]["content"] == "a" else Response(is_dropped=True))
    found, ledger = ask_for("a", "b", "c")
    assert [reply.problem for reply in found] == ["", "connection lost", "connection lost"]
    assert ledger.spent.retries == 6


def test_input_that_alone_is_forbidden_is_refused(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RETUNE_LLM_CONCURRENCY", "1")
    start(lambda body, before: error(403, "flagged") if body["messages"][1]["content"] == "bad" else FINE)
    found, ledger = ask_for("a", "bad", "b")
    assert [reply.problem for reply in found] == ["", "refused", ""]
    assert ledger.unanswered == 0  # it is kept, as the next run would hear the same
    assert "refused a request with status 403: flagged" in caplog.text


def test_asking_ends_when_too_many_requests_failed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETUNE_LLM_CONCURRENCY", "2")
    server = start(lambda body, before: FINE if int(body["messages"][1]["content"]) < 20 else error(500, "gone"))
    with pytest.raises(InputError, match=r"queries: expected replies to nearly all .* none to 6 .*server error 500: 6"):
        ask([request(str(number)) for number in range(100)], llm(), seed=13, desc="queries")
    assert len(server.received) <= 20 + 4 * 8  # of the 80 that would fail, 6 or 7 are given up


def test_end_of_the_time_is_no_failure(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETUNE_LLM_CONCURRENCY", "1")
    start(lambda body, before: FINE if body["messages"][1]["content"] in "01" else Response(FINE.body, delay_s=9.0))
    _, ledger = ask([request(str(number)) for number in range(9)], llm(total_timeout_s=1.5), seed=13, desc="queries")
    assert (ledger.answered, ledger.problems) == (2, {"out of time": 7})


def test_schema_is_left_out_for_a_single_request_that_cannot_have_it(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RETUNE_LLM_CONCURRENCY", "2")

    def odd(body: Body, before: int) -> Response:
        is_odd = body["messages"][1]["content"] == "5" and "response_format" in body
        return error(400, "no grammar") if is_odd else FINE

    server = start(odd)
    _, ledger = ask_for(*map(str, range(20)))
    assert ledger.answered == 20
    assert sum("response_format" not in received.body for received in server.received) == 1
    assert "takes no JSON schema" not in caplog.text


def test_server_that_takes_no_seed_gets_none(start: Start) -> None:
    server = start(lambda body, before: error(422, "extra_forbidden: body.seed") if "seed" in body else FINE)
    assert ask_for("a")[0] == [Reply({"query": "fine"}, "")]
    assert "response_format" in server.received[-1].body


def test_text_in_parts_is_joined(start: Start) -> None:
    parts = [{"type": "text", "text": '{"query": '}, {"type": "text", "text": '"fine"}'}]
    start(lambda body, before: Response(completion(parts)))
    assert ask_for("a")[0] == [Reply({"query": "fine"}, "")]


def test_strange_date_to_wait_for_is_ignored(start: Start) -> None:
    headers = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 +99999999999999"}
    start(first(error(429, "slow down", headers)))
    assert ask_for("a")[0] == [Reply({"query": "fine"}, "")]


@pytest.mark.parametrize(
    ("url", "key", "message"),
    [
        (
            "",
            "",
            "OPENAI_BASE_URL: expected the address of a server, .* or a key of OpenAI in OPENAI_API_KEY, found neither",
        ),
        ("localhost:8080/v1", "", "OPENAI_BASE_URL: expected an address that begins with http"),
        ("http://", "", "OPENAI_BASE_URL: expected an address that begins with http"),
        ("http://[::1", "", "OPENAI_BASE_URL: expected an address that begins with http"),
        ("http://localhost:80a/v1", "", "OPENAI_BASE_URL: expected an address that begins with http"),
        ("http://ü..x/v1", "", "OPENAI_BASE_URL: expected an address that begins with http"),
        ("http://local\thost/v1", "", "OPENAI_BASE_URL: expected an address that begins with http"),
        ("http://localhost:8080/v1", "schlüssel", "OPENAI_API_KEY: expected printable ASCII"),
    ],
)
def test_missing_or_malformed_address_is_named(
    url: str, key: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(InputError, match=f"^{message}"):
        ask_for("a")


def test_local_server_needs_no_key(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start(lambda body, before: FINE)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert ask_for("a")[1].answered == 1
    assert server.received[0].headers["authorization"] == "Bearer none"


def test_key_is_in_no_file_log_or_error(
    start: Start, replies: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server repeats the key wherever it can."""
    caplog.set_level(logging.DEBUG)
    heard = {
        "text": Response(completion(json.dumps({"query": KEY}))),
        "fault": error(500, f"got {KEY}"),
        "refusal": Response(completion(None, refusal=KEY)),
        "broken": Response(completion(KEY)),
        "bad": error(400, f"got {KEY}"),
    }
    server = start(lambda body, before: heard[body["messages"][1]["content"]])
    found, _ = ask_for(*heard)
    assert [reply.problem for reply in found] == ["", "server error 500", "refused", "not JSON", "server error 400"]
    messages = []
    for status in (401, 404, 418, 429):
        server.behave = lambda body, before, status=status: error(status, f"insufficient_quota {KEY}")
        with pytest.raises(InputError) as caught:
            ask_for("new")
        messages.append(str(caught.value))
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://{KEY}:{KEY}@127.0.0.1:9/{KEY}/v1")
    with pytest.raises(InputError) as caught:
        ask_for("new")
    texts = [*messages, str(caught.value), repr(found), caplog.text]
    texts += [path.read_text() for path in replies.rglob("*") if path.is_file()]
    assert len(texts) == 4 + 3 + 3
    assert [text for text in texts if KEY in text] == []
    assert KEY in server.received[0].headers["authorization"]


def test_waits_double_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts.random, "uniform", lambda low, high: high)
    assert [Patience().wait_s(attempt) for attempt in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
