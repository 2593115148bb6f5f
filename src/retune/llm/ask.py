"""Ask a language model many things at once: kept replies first, the rest from the server, each kept as it arrives."""

import asyncio
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from retune.core.errors import InputError
from retune.core.local_settings import read_local_settings
from retune.llm.address import names_server
from retune.llm.attempts import UnansweredError
from retune.llm.conversation import Conversation
from retune.llm.json_reply import check_schema
from retune.llm.ledger import Ledger, Limit, Spent, Tokens
from retune.llm.replies import (
    NO_SERVER,
    OUT_OF_TIME,
    OVER_BUDGET,
    RawReply,
    Reply,
    Request,
    keep,
    read_kept,
    request_key,
)
from retune.llm.server import Server, connect
from retune.params.llm import Llm

LOG = logging.getLogger(__name__)

MOST_FAILED = 0.05  # share of the requests that the server may leave without a reply
START_INTERVAL_S = 0.003  # between requests, so that replies do not arrive faster than one process reads them
STOPPED = {OVER_BUDGET, OUT_OF_TIME}  # problems that are no failure of the server

Found = dict[str, RawReply | str]
"""By key of the request: a reply, or the problem why there is none."""


def ask(
    requests: Sequence[Request],
    params: Llm,
    *,
    seed: int,
    desc: str,
    earlier: Sequence[Ledger] = (),
    most_failed: float = MOST_FAILED,
) -> tuple[list[Reply], Ledger]:
    """Return a reply to each request, in their order, and what was asked and spent.

    Replies are kept in the folder RETUNE_REPLIES, so another call with the same requests needs no server and returns
    the same, even if a few of them got no reply. Identical requests are asked once and share the reply. A few requests
    may stay without a reply, and any number of them when the budget or the time is over.

    Args:
        requests: What to ask.
        params: Whom to ask, and within which budget and time.
        seed: Sent to the server, and part of what a reply is kept under.
        desc: What the progress bar and the log call this.
        earlier: What the stage has asked before, which counts towards budget and time.
        most_failed: The share of the requests that the server may leave without a reply.

    Raises:
        ValueError: A schema has keywords that are not checked.
        InputError: No server is named or reached, it rejects the key, the model or all requests, or it fails for many.
    """
    for schema in {json.dumps(request.schema): request.schema for request in requests}.values():
        check_schema(schema)
    local = read_local_settings()
    keys = [request_key(request, params, seed) for request in requests]
    distinct = dict(zip(keys, requests, strict=True))
    found: Found = {key: reply for key in distinct if (reply := read_kept(local.replies, key))}
    ledger = Ledger(len(requests), spent=Spent(kept=len(found)))
    missing = {key: request for key, request in distinct.items() if key not in found}
    limit = Limit(params, earlier)
    if missing and limit.is_reached(ledger.spent):
        found |= dict.fromkeys(missing, OVER_BUDGET)
    elif missing and len(missing) <= MOST_FAILED * len(distinct) and not names_server():
        found |= dict.fromkeys(missing, NO_SERVER)
    elif missing:
        _require_writable(local.replies)
        call = _Call(params, seed, local.replies, found, ledger.spent, limit, desc, most_failed * len(distinct))
        started = time.monotonic()
        with _progress_bar(desc, len(distinct), len(found)) as progress:
            asyncio.run(call.ask(missing, min(local.llm_concurrency, len(missing)), progress))
        ledger.spent.seconds = time.monotonic() - started
    replies = [_reply(found[key], request) for key, request in zip(keys, requests, strict=True)]
    _close(ledger, found, replies, params)
    ledger.unanswered = sum(isinstance(found[key], str) for key in keys)
    LOG.info("%s", ledger.line(desc, params.prices))
    return replies, ledger


@dataclass
class _Call:
    """The part of a call that the server answers."""

    params: Llm
    seed: int
    folder: Path  # of kept replies
    found: Found
    spent: Spent
    limit: Limit
    desc: str
    most_failures: float
    failures: Counter[str] = field(default_factory=Counter)
    next_start: float = 0.0  # of a request, on the monotonic clock

    async def ask(self, missing: Mapping[str, Request], concurrency: int, progress: "tqdm[Any]") -> None:
        """Ask all requests, so many at the same time."""
        async with connect(self.params, self.seed, self.spent, concurrency) as server:
            conversation = Conversation(server, self.params, self.spent, self.limit)
            waiting = iter(missing.items())
            try:
                async with asyncio.TaskGroup() as workers:
                    for _ in range(concurrency):
                        workers.create_task(self._work(waiting, conversation, server, progress))
            except BaseExceptionGroup as errors:
                raise _input_error(errors) from None
            self._refuse_rejection(server)

    async def _work(
        self,
        waiting: Iterator[tuple[str, Request]],
        conversation: Conversation,
        server: Server,
        progress: "tqdm[Any]",
    ) -> None:
        """Ask one request after the other until none waits."""
        for key, request in waiting:
            await self._wait_for_turn()
            try:
                reply = await conversation.reply(request)
            except UnansweredError as error:
                self.found[key] = error.problem
                self._count_failure(error.problem, server)
            else:
                about = {"model": self.params.model, "prompt_version": request.prompt_version}
                keep(self.folder, key, reply, about)
                self.found[key] = reply
                self.spent.replies += 1
            cost = self.spent.tokens.cost(self.params.prices)
            if cost is not None:
                progress.set_postfix_str(f"cost {cost:.2f}", refresh=False)
            progress.update()

    async def _wait_for_turn(self) -> None:
        """Space out the starts of requests: replies that arrive together wait for one another."""
        now = time.monotonic()
        self.next_start = max(now, self.next_start)
        wait_s = self.next_start - now
        self.next_start += START_INTERVAL_S
        await asyncio.sleep(wait_s)

    def _count_failure(self, problem: str, server: Server) -> None:
        """Stop the call if the server fails for too many requests, as the others would hardly fare better."""
        if problem in STOPPED:
            return
        self.failures[problem] += 1
        if self.failures.total() > self.most_failures:
            self._refuse_rejection(server)
            problems = ", ".join(f"{name}: {count}" for name, count in sorted(self.failures.items()))
            raise InputError(
                f"{self.desc}: expected replies to nearly all requests, got none to {self.failures.total()} of the "
                f"first {len(self.found):,} ({problems}); replies that came are kept, so run it again when the server "
                "is well, or raise llm.timeout_s"
            )

    def _refuse_rejection(self, server: Server) -> None:
        """Name what the server says to every request, if it rejected one and answered none."""
        if server.rejection and not any(isinstance(reply, RawReply) for reply in self.found.values()):
            raise InputError(
                f"OPENAI_BASE_URL: expected chat completions of {server.address.shown}, got for every request "
                f"{server.rejection}; change the parameters in llm"
            )


def _input_error(errors: BaseExceptionGroup) -> BaseException:
    """Return the first error that the user can fix; the group itself if there is none."""
    found = errors.subgroup(InputError)
    return errors if found is None else next(error for error in found.exceptions if isinstance(error, InputError))


def _require_writable(folder: Path) -> None:
    """Check that replies can be kept before any is paid for."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"RETUNE_REPLIES: expected a folder that can be made, got: {error}; fix it") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"RETUNE_REPLIES: expected a folder that can be written to, got {str(folder)!r}; fix it")


def _reply(reply: RawReply | str, request: Request) -> Reply:
    return reply.read(request.schema) if isinstance(reply, RawReply) else Reply(None, reply)


def _close(ledger: Ledger, found: Found, replies: Sequence[Reply], params: Llm) -> None:
    """Fill in the counts that do not depend on which replies were kept."""
    ledger.problems = dict(Counter(reply.problem for reply in replies if reply.problem))
    ledger.tokens = sum((reply.tokens for reply in found.values() if isinstance(reply, RawReply)), Tokens())
    ledger.cost = ledger.tokens.cost(params.prices)


def _progress_bar(desc: str, total: int, initial: int) -> "tqdm[Any]":
    """Return a bar over distinct requests, silent where no one looks."""
    return tqdm(
        total=total, initial=initial, desc=desc, unit="reply", leave=False, mininterval=1.0, smoothing=0, disable=None
    )  # fmt: skip
