"""From one request to one reply: attempts after faults, waits between them, and one repair of an unusable text."""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from retune.core.errors import InputError
from retune.llm import replies
from retune.llm.json_reply import ReplyError, parse
from retune.llm.ledger import Limit, Spent
from retune.llm.replies import RawReply, Request
from retune.llm.responses import FaultError
from retune.llm.server import INSTRUCTION, Message, Server, with_schema
from retune.params.llm import Llm

LOG = logging.getLogger(__name__)

RATE_LIMITED = f"{replies.SERVER_ERROR} 429"
QUOTED = 4000  # characters of an unusable reply that are sent back


@dataclass(frozen=True)
class Patience:
    """How often and after which waits a request is sent again; waits are drawn from 0 to a limit that doubles.

    Attributes:
        attempts: Most attempts, the first one included.
        attempts_in_time: Most attempts that may take longer than `timeout_s`: a server that hangs costs the most time.
        attempts_to_connect: Attempts before a server that never responded is given up.
        first_wait_s: Longest wait after the first attempt.
        longest_wait_s: Longest wait after any attempt.
        longest_retry_after_s: A server that asks to wait longer is not asked again.
    """

    attempts: int = 8
    attempts_in_time: int = 2
    attempts_to_connect: int = 3
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    longest_retry_after_s: float = 900.0

    def wait_s(self, attempt: int) -> float:
        """Return how long to wait after an attempt, counted from 0; drawn, so that clients do not march in step."""
        return random.uniform(0.0, min(self.longest_wait_s, self.first_wait_s * 2 ** min(attempt, 30)))


PATIENCE = Patience()


class UnansweredError(Exception):
    """A request that gets no reply in this call.

    Attributes:
        problem: Why.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class Conversation:
    """The requests of one call to one server, within its limit."""

    def __init__(self, server: Server, params: Llm, spent: Spent, limit: Limit) -> None:
        self._server = server
        self._params = params
        self._spent = spent
        self._limit = limit
        self._answered = 0
        self._logged: set[str] = set()
        self._resume_at = 0.0  # the server asked not to be sent anything before

    async def reply(self, request: Request) -> RawReply:
        """Return what the server replies, after one repair at most.

        Raises:
            UnansweredError: There is no reply in this call.
            InputError: There is none until the user changes something.
        """
        messages = [
            {"role": role, "content": text.encode("utf-8", "replace").decode()}  # half a character cannot be sent
            for role, text in (("system", request.system), ("user", request.user))
            if text or role == "user"
        ]
        first = await self._deliver(messages, request)
        if first.ending:
            return first
        try:
            parse(first.content, request.schema)
        except ReplyError as error:
            self._spent.repairs += 1
            advice = f"Your reply cannot be used: {error.detail}. {INSTRUCTION}"
            repair = [
                {"role": "assistant", "content": first.content[:QUOTED].encode("utf-8", "replace").decode()},
                {"role": "user", "content": with_schema(advice, request.schema)},
            ]
            second = await self._deliver([*messages, *repair], request)
            return replace(second, tokens=first.tokens + second.tokens)
        return first

    async def _deliver(self, messages: Sequence[Message], request: Request) -> RawReply:
        """Send messages until a reply arrives.

        A server that limits the rate turns away some of many requests, so a 429 counts as a failure only if nothing
        was answered since the last one.
        """
        tries = failures = timeouts = 0
        answered = self._answered
        while True:
            try:
                reply = await self._attempt(messages, request, is_retry=tries > 0)
            except FaultError as fault:
                is_limited = fault.problem == RATE_LIMITED and self._answered > answered
                failures, answered = 0 if is_limited else failures + 1, self._answered
                timeouts += fault.problem == replies.TIMED_OUT
                if timeouts >= PATIENCE.attempts_in_time or self._is_last(failures, fault):
                    self._log(fault)
                    raise UnansweredError(fault.problem) from None
                await self._pause(tries, fault)
                tries += 1
            else:
                self._answered += 1
                self._spent.tokens += reply.tokens
                return reply

    async def _attempt(self, messages: Sequence[Message], request: Request, *, is_retry: bool) -> RawReply:
        while (wait_s := self._resume_at - time.monotonic()) > 0:
            await self._sleep(wait_s + PATIENCE.wait_s(0))
        if self._limit.is_reached(self._spent):
            raise UnansweredError(replies.OVER_BUDGET)
        left_s = self._limit.deadline - time.monotonic()
        if left_s <= 0:
            raise UnansweredError(replies.OUT_OF_TIME)
        self._spent.retries += is_retry
        try:
            async with asyncio.timeout(min(self._params.timeout_s, left_s)):
                return await self._server.send(messages, request.schema)
        except TimeoutError:
            if left_s <= self._params.timeout_s:
                raise UnansweredError(replies.OUT_OF_TIME) from None
            raise FaultError(replies.TIMED_OUT) from None

    def _is_last(self, failures: int, fault: FaultError) -> bool:
        """Return whether to give up; a server that cannot be reached at all is an error of the user's."""
        is_unreachable = fault.is_unconnected and not self._server.has_responded
        if is_unreachable and failures >= PATIENCE.attempts_to_connect:
            raise InputError(
                f"OPENAI_BASE_URL: expected a server at {self._server.address.shown}, got: {fault.detail}; "
                "start it, or fix the address"
            )
        is_long = (fault.retry_after_s or 0.0) > PATIENCE.longest_retry_after_s
        return fault.is_final or is_long or failures >= PATIENCE.attempts

    def _log(self, fault: FaultError) -> None:
        """Say what the server said, the first time that a problem ends a request."""
        if fault.problem not in self._logged:
            self._logged.add(fault.problem)
            about = f"{fault.problem}: {fault.detail}" if fault.detail else fault.problem
            LOG.warning("%s: gave up a request, %s; others like it are only counted", self._server.address.shown, about)

    async def _pause(self, tries: int, fault: FaultError) -> None:
        """Wait before the next attempt; if the server says for how long, all requests wait."""
        if fault.retry_after_s:  # `_attempt` waits until then; 0 is no reason to hurry
            self._resume_at = max(self._resume_at, time.monotonic() + fault.retry_after_s)
        else:
            await self._sleep(PATIENCE.wait_s(tries))

    async def _sleep(self, wait_s: float) -> None:
        """Wait, unless the time of the call is over before."""
        if time.monotonic() + wait_s > self._limit.deadline:
            raise UnansweredError(replies.OUT_OF_TIME)
        await asyncio.sleep(wait_s)
