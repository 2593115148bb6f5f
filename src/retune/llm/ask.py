"""Ask a language model many things at once: kept replies first, the rest from the server, each kept as it arrives."""

import asyncio
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from retune.core.errors import InputError
from retune.core.local_settings import read_local_settings
from retune.llm.conversation import Conversation, UnansweredError
from retune.llm.json_reply import check_schema
from retune.llm.ledger import Ledger, Spent, Tokens, is_over_budget
from retune.llm.replies import OVER_BUDGET, Answer, Reply, Request, keep_answer, read_answer, request_key
from retune.llm.server import connect
from retune.params.llm import Llm

LOG = logging.getLogger(__name__)

MOST_FAILED = 0.05  # share of the requests

Found = dict[str, Answer | str]
"""By key of the request: an answer, or the problem why there is none."""


def ask(requests: Sequence[Request], params: Llm, *, seed: int, desc: str) -> tuple[list[Reply], Ledger]:
    """Return a reply to each request, in their order, and what was asked and spent.

    Replies are kept in the folder RETUNE_REPLIES, so another call with the same requests needs no server and returns
    the same. Identical requests are asked once and share the reply.

    Args:
        requests: What to ask.
        params: Whom to ask, and within which budget.
        seed: Sent to the server, and part of what a reply is kept under.
        desc: What the progress bar and the log call this.

    Raises:
        ValueError: A schema has keywords that are not checked.
        InputError: No server is named or reached, or it rejects the key, the model or all requests.
    """
    for schema in {json.dumps(request.schema): request.schema for request in requests}.values():
        check_schema(schema)
    local = read_local_settings()
    keys = [request_key(request, params, seed) for request in requests]
    distinct = dict(zip(keys, requests, strict=True))
    found: Found = {key: answer for key in distinct if (answer := read_answer(local.replies, key))}
    ledger = Ledger(len(requests), spent=Spent(kept=len(found)))
    missing = {key: request for key, request in distinct.items() if key not in found}
    if missing and is_over_budget(ledger.spent, params):
        found |= dict.fromkeys(missing, OVER_BUDGET)
    elif missing:
        _require_writable(local.replies)
        call = _Call(params, seed, local.replies, found, ledger.spent)
        with _progress_bar(desc, len(distinct), len(found)) as progress:
            asyncio.run(call.ask(missing, min(local.llm_concurrency, len(missing)), progress))
    replies = [_reply(found[key], request) for key, request in zip(keys, requests, strict=True)]
    _close(ledger, found, replies, params)
    ledger.unanswered = sum(isinstance(found[key], str) for key in keys)
    LOG.info("%s", ledger.line(desc, params.prices))
    return replies, ledger


def ask_nearly_all(requests: Sequence[Request], params: Llm, *, seed: int, desc: str) -> tuple[list[Reply], Ledger]:
    """Ask as `ask` does, and check that few requests got no reply; a budget may leave out any number of them.

    Raises:
        InputError: The server failed for many requests, or for a reason that `ask` names.
    """
    replies, ledger = ask(requests, params, seed=seed, desc=desc)
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

    def __init__(self, params: Llm, seed: int, folder: Path, found: Found, spent: Spent) -> None:
        self._params = params
        self._seed = seed
        self._folder = folder
        self._found = found
        self._spent = spent

    async def ask(self, missing: Mapping[str, Request], concurrency: int, progress: "tqdm[Any]") -> None:
        """Ask all requests, so many at the same time."""
        async with connect(self._params, self._seed, self._spent, concurrency) as server:
            conversation = Conversation(server, self._params, self._spent)
            waiting = iter(missing.items())
            try:
                async with asyncio.TaskGroup() as workers:
                    for _ in range(concurrency):
                        workers.create_task(self._work(waiting, conversation, progress))
            except BaseExceptionGroup as errors:
                raise _input_error(errors) from None
            if server.rejection and not any(isinstance(answer, Answer) for answer in self._found.values()):
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
                answer = await conversation.answer(request)
            except UnansweredError as error:
                self._found[key] = error.problem
            else:
                about = {"model": self._params.model, "prompt_version": request.prompt_version}
                keep_answer(self._folder, key, answer, about)
                self._found[key] = answer
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


def _reply(answer: Answer | str, request: Request) -> Reply:
    return answer.read(request.schema) if isinstance(answer, Answer) else Reply(None, answer)


def _close(ledger: Ledger, found: Found, replies: Sequence[Reply], params: Llm) -> None:
    """Fill in the counts that do not depend on which replies were kept."""
    ledger.problems = dict(Counter(reply.problem for reply in replies if reply.problem))
    ledger.tokens = sum((answer.tokens for answer in found.values() if isinstance(answer, Answer)), Tokens())
    ledger.cost = ledger.tokens.cost(params.prices)


def _progress_bar(desc: str, total: int, initial: int) -> "tqdm[Any]":
    """Return a bar over distinct requests, silent where no one looks."""
    return tqdm(
        total=total, initial=initial, desc=desc, unit="reply", leave=False, mininterval=1.0, smoothing=0, disable=None
    )  # fmt: skip
