"""An OpenAI-compatible server on loopback that misbehaves as it is asked to."""

import asyncio
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

QUERIES = '{"question": "what is it", "keywords": "it"}'  # of the server that a benchmark starts

Body = dict[str, Any]


@dataclass(frozen=True)
class Response:
    """What the server does with one request."""

    body: Body | bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0  # before the first byte
    is_dropped: bool = False  # nothing is sent
    is_cut: bool = False  # only half of the body is sent


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    body: Body
    headers: dict[str, str]
    path: str
    at: float

    @property
    def user(self) -> str:
        """The question to a language model, or the texts to embed."""
        messages = self.body.get("messages", [])
        return next(
            (message["content"] for message in messages if message["role"] == "user"), str(self.body.get("input"))
        )


Behaviour = Callable[[Body, int], Response]
"""From a request, and how often a request with the same first user message was received before."""


def completion(content: object, *, finish: str = "stop", refusal: str | None = None, usage: bool = True) -> Body:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    body: Body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
    body["choices"] = [{"index": 0, "finish_reason": finish, "message": message}]
    return body | ({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}} if usage else {})


def reply(value: Body) -> Response:
    return Response(completion(json.dumps(value)))


def error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return Response({"error": {"message": message, "code": None}}, status, headers or {})


class LlmServer:
    """The server, whose `received` are its requests in the order in which they arrived."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.received: list[Received] = []
        self.in_flight = self.most_in_flight = 0
        self._seen: Counter[str] = Counter()

    async def serve(self, started: Callable[[int], None]) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=512)
        started(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        received = Received(body, headers, head[0].split()[1], time.monotonic())
        self.received.append(received)
        response = self.behave(body, self._seen[received.user])
        self._seen[received.user] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        await asyncio.sleep(response.delay_s)
        self.in_flight -= 1
        if response.is_dropped:
            return False
        content = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
        head = [f"HTTP/1.1 {response.status} X", f"Content-Length: {len(content)}"]
        head += [
            f"{name}: {value}" for name, value in ({"Content-Type": "application/json"} | response.headers).items()
        ]
        writer.write("\r\n".join([*head, "", ""]).encode() + content[: len(content) // (2 if response.is_cut else 1)])
        await writer.drain()
        return not response.is_cut


@contextmanager
def running(behave: Behaviour) -> Iterator[tuple[LlmServer, str]]:
    """Run a server in a thread; yield it and its base URL."""
    server, ports = LlmServer(behave), []
    loop, started = asyncio.new_event_loop(), threading.Event()

    def start(port: int) -> None:
        ports.append(port)
        started.set()

    def work() -> None:
        task = loop.create_task(server.serve(start))
        loop.run_forever()
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True))
        assert task.done()
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield server, f"http://127.0.0.1:{ports[0]}/v1"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def main(delay_s: float) -> None:
    """Reply to everything after some time, until the process is ended; print the port."""
    answer = Response(completion(QUERIES), delay_s=delay_s)
    asyncio.run(LlmServer(lambda body, before: answer).serve(lambda port: print(port, flush=True)))


if __name__ == "__main__":
    main(float(sys.argv[1]))
