"""Ask a language model many things at once: kept replies first, the rest from the server, each kept as it arrives."""

import asyncio
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from retune.core.errors import InputError
from retune.core.local_settings import read_local_settings
from retune.llm.conversation import Conversation, UnansweredError
from retune.llm.json_reply import check_schema
from retune.llm.ledger import Ledger, Limit, Spent, Tokens
from retune.llm.replies import OVER_BUDGET, RawReply, Reply, Request, keep, read_kept, request_key
from retune.llm.server import connect
from retune.params.llm import Llm

LOG = logging.getLogger(__name__)

MOST_FAILED = 0.05  # share of the requests

Found = dict[str, RawReply | str]
"""By key of the request: a reply, or the problem why there is none."""


def ask(
    requests: Sequence[Request], params: Llm, *, seed: int, desc: str, earlier: Sequence[Ledger] = ()
) -> tuple[list[Reply], Ledger]:
    """Return a reply to each request, in their order, and what was asked and spent.

    Replies are kept in the folder RETUNE_REPLIES, so another call with the same requests needs no server and returns
    the same. Identical requests are asked once and share the reply.

    Args:
        requests: What to ask.
        params: Whom to ask, and within which budget and time.
        seed: Sent to the server, and part of what a reply is kept under.
        desc: What the progress bar and the log call this.
        earlier: What the stage has asked before, which counts towards budget and time.

    Raises:
        ValueError: A schema has keywords that are not checked.
        InputError: No server is named or reached, or it rejects the key, the model or all requests.
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
    elif missing:
        _require_writable(local.replies)
        call = _Call(params, seed, local.replies, found, ledger.spent, limit)
        started = time.monotonic()
        with _progress_bar(desc, len(distinct), len(found)) as progress:
            asyncio.run(call.ask(missing, min(local.llm_concurrency, len(missing)), progress))
        ledger.spent.seconds = time.monotonic() - started
    replies = [_reply(found[key], request) for key, request in zip(keys, requests, strict=True)]
    _close(ledger, found, replies, params)
    ledger.unanswered = sum(isinstance(found[key], str) for key in keys)
    LOG.info("%s", ledger.line(desc, params.prices))
    return replies, ledger


def ask_nearly_all(
    requests: Sequence[Request], params: Llm, *, seed: int, desc: str, earlier: Sequence[Ledger] = ()
) -> tuple[list[Reply], Ledger]:
    """Ask as `ask` does, and check that few requests got no reply; a budget may leave out any number of them.

    Raises:
        InputError: The server failed for many requests, or for a reason that `ask` names.
    """
    replies, ledger = ask(requests, params, seed=seed, desc=desc, earlier=earlier)
    failed = ledger.unanswered - ledger.problems.get(OVER_BUDGET, 0)
    if failed > MOST_FAILED * len(requests):
        problems = ", ".join(f"{problem}: {count}" for problem, count in sorted(ledger.problems.items()))
        raise InputError(
            f"{desc}: expected replies to all of {len(requests)} requests, got none to {failed} ({problems}); replies "
            "that came are kept, so run it again when the server is well, or raise llm.timeout_s"
        )
    return replies, ledger


class _Call:
    """The part of a call that the server answers."""

    def __init__(self, params: Llm, seed: int, folder: Path, found: Found, spent: Spent, limit: Limit) -> None:
        self._params = params
        self._seed = seed
        self._folder = folder
        self._found = found
        self._spent = spent
        self._limit = limit

    async def ask(self, missing: Mapping[str, Request], concurrency: int, progress: "tqdm[Any]") -> None:
        """Ask all requests, so many at the same time."""
        async with connect(self._params, self._seed, self._spent, concurrency) as server:
            conversation = Conversation(server, self._params, self._spent, self._limit)
            waiting = iter(missing.items())
            try:
                async with asyncio.TaskGroup() as workers:
                    for _ in range(concurrency):
                        workers.create_task(self._work(waiting, conversation, progress))
            except BaseExceptionGroup as errors:
                raise _input_error(errors) from None
            if server.rejection and not any(isinstance(reply, RawReply) for reply in self._found.values()):
                raise InputError(
                    f"OPENAI_BASE_URL: expected chat completions of {server.address.shown}, got for every request "
                    f"{server.rejection}; change the parameters in llm"
                )

    async def _work(
        self, waiting: Iterator[tuple[str, Request]], conversation: Conversation, progress: "tqdm[Any]"
    ) -> None:
        """Ask one request after the other until none waits."""
        for key, request in waiting:
            try:
                reply = await conversation.reply(request)
            except UnansweredError as error:
                self._found[key] = error.problem
            else:
                about = {"model": self._params.model, "prompt_version": request.prompt_version}
                keep(self._folder, key, reply, about)
                self._found[key] = reply
                self._spent.replies += 1
            cost = self._spent.tokens.cost(self._params.prices)
            if cost is not None:
                progress.set_postfix_str(f"cost {cost:.2f}", refresh=False)
            progress.update()


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
