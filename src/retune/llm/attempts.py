"""Send a request until it is answered: attempts after faults, and waits between them, within budget and time."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from retune.core.errors import InputError
from retune.llm import replies
from retune.llm.address import Address
from retune.llm.ledger import Limit, Spent, Tokens
from retune.llm.responses import FaultError

LOG = logging.getLogger(__name__)

RATE_LIMITED = f"{replies.SERVER_ERROR} 429"


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
        detail: What the server or the connection said last.
    """

    def __init__(self, problem: str, detail: str = "") -> None:
        super().__init__(problem)
        self.problem, self.detail = problem, detail


class Connection(Protocol):
    """A connection to a server: where it is, and whether it has responded to anything."""

    address: Address
    has_responded: bool


class Answer(Protocol):
    """What a server answers with, which took some tokens."""

    @property
    def tokens(self) -> Tokens:
        """The tokens of the request and of the answer."""


Answer_ = TypeVar("Answer_", bound=Answer)


class Attempts:
    """The attempts of one call to one server, within its limit."""

    def __init__(self, server: Connection, timeout_s: float, spent: Spent, limit: Limit) -> None:
        """Take the server, the seconds of one attempt, and what the call spends and may spend."""
        self._server, self._timeout_s, self._spent, self._limit = server, timeout_s, spent, limit
        self._answered = 0
        self._logged: set[str] = set()
        self._resume_at = 0.0  # the server asked not to be sent anything before

    async def deliver(self, send: Callable[[], Awaitable[Answer_]]) -> Answer_:
        """Send a request until an answer arrives.

        A server that limits the rate turns away some of many requests, so a 429 counts as a failure only if nothing
        was answered since the last one.

        Raises:
            UnansweredError: There is no answer in this call.
            InputError: There is none until the user changes something.
        """
        tries = failures = timeouts = 0
        answered = self._answered
        while True:
            try:
                answer = await self._attempt(send, is_retry=tries > 0)
            except FaultError as fault:
                is_limited = fault.problem == RATE_LIMITED and self._answered > answered
                failures, answered = 0 if is_limited else failures + 1, self._answered
                timeouts += fault.problem == replies.TIMED_OUT
                if timeouts >= PATIENCE.attempts_in_time or self._is_last(failures, fault):
                    self._log(fault)
                    raise UnansweredError(fault.problem, fault.detail) from None
                await self._pause(tries, fault)
                tries += 1
            else:
                self._answered += 1
                self._spent.tokens += answer.tokens
                return answer

    async def _attempt(self, send: Callable[[], Awaitable[Answer_]], *, is_retry: bool) -> Answer_:
        while (wait_s := self._resume_at - time.monotonic()) > 0:
            await self._sleep(wait_s + PATIENCE.wait_s(0))
        if self._limit.is_reached(self._spent):
            raise UnansweredError(replies.OVER_BUDGET)
        left_s = self._limit.deadline - time.monotonic()
        if left_s <= 0:
            raise UnansweredError(replies.OUT_OF_TIME)
        self._spent.retries += is_retry
        try:
            async with asyncio.timeout(min(self._timeout_s, left_s)):
                return await send()
        except TimeoutError:
            if left_s <= self._timeout_s:
                raise UnansweredError(replies.OUT_OF_TIME) from None
            raise FaultError(replies.TIMED_OUT) from None

    def _is_last(self, failures: int, fault: FaultError) -> bool:
        """Return whether to give up; a server that cannot be reached at all is an error of the user's."""
        is_unreachable = fault.is_unconnected and not self._server.has_responded
        if is_unreachable and failures >= PATIENCE.attempts_to_connect:
            address = self._server.address
            raise InputError(
                f"{address.url_name}: expected a server at {address.shown}, got: {fault.detail}; "
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
