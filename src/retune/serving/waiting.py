"""The texts that wait for the model: one thread runs it on what has come in from all requests, turn by turn."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

TURN = 512  # texts that the model runs on at once
SHARE = 64  # texts of one request in a turn, so that a long request does not hold up the short ones


class Answer(NamedTuple):
    """What the model makes of one text or pair: a vector or a score, and the number of tokens it read for it."""

    value: Any
    num_tokens: int


class FullError(Exception):
    """More is waiting than may; `retry_after_s` is the number of seconds in which it will be done."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class Job:
    """The texts of one request.

    Attributes:
        size: The number of their characters.
        answers: The answers of all texts, once the model has run on the last of them, or what went wrong.
        is_abandoned: Whether nobody needs the answers any more; to be set by whoever asked for them.
    """

    def __init__(self, items: Sequence[Any], size: int) -> None:
        self.size, self.is_abandoned = size, False
        self.answers: Future[list[Answer]] = Future()
        self._items, self._done = items, list[Answer]()

    @property
    def share(self) -> int:
        """The number of its texts in the next turn."""
        return min(SHARE, len(self._items) - len(self._done))

    def next(self) -> Sequence[Any]:
        """Return the texts of the next turn."""
        return self._items[len(self._done) : len(self._done) + SHARE]

    def receive(self, answers: Sequence[Answer]) -> None:
        """Take the answers of a turn."""
        self._done += answers
        if len(self._done) == len(self._items):
            self.answers.set_result(self._done)


class Waiting:
    """Requests in the order in which they came, each of which gets a share of every turn.

    Nothing waits for a turn to fill up: while the model runs, requests come in, and the next turn takes them all. A
    vector does not depend on the texts it is computed with, so turns change none.
    """

    def __init__(self, run: Callable[[Sequence[Any]], Sequence[Answer]], *, limit: int) -> None:
        """Start the thread.

        Args:
            run: Returns the answer of each text; only the thread calls it.
            limit: The most characters of all requests that are not answered yet.
        """
        self._run, self._limit = run, limit
        self._jobs: deque[Job] = deque()
        self._size, self._rate, self._is_closed = 0, 0.0, False  # the rate is in characters a second
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._take_turns, name="model", daemon=True)
        self._thread.start()

    def submit(self, items: Sequence[Any], size: int) -> Job:
        """Let texts, which have `size` characters, wait for the model.

        Raises:
            FullError: Too much would wait.
        """
        job = Job(items, size)
        with self._changed:
            if self._size + size > self._limit:
                raise FullError(max(1, round(self._size / self._rate)) if self._rate else 1)
            self._jobs.append(job)
            self._size += size
            self._changed.notify()
        return job

    def close(self) -> None:
        """End the thread after its turn."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _take_turns(self) -> None:
        started = time.monotonic()
        while jobs := self._next_jobs():
            self._take_turn(jobs)
            with self._changed:
                self._jobs.extend(job for job in jobs if not job.answers.done())
                done = sum(job.size for job in jobs if job.answers.done())
                self._size -= done
            if done:
                self._rate = done / max(time.monotonic() - started, 1e-3)
                started = time.monotonic()

    def _next_jobs(self) -> list[Job]:
        """Return the requests of the next turn, once there are some; none if the thread is to end."""
        jobs: list[Job] = []
        count = 0
        with self._changed:
            while not jobs:
                self._changed.wait_for(lambda: self._jobs or self._is_closed)
                if self._is_closed:
                    return []
                while self._jobs and count < TURN:
                    job = self._jobs.popleft()
                    if job.is_abandoned:
                        self._size -= job.size
                    else:
                        jobs.append(job)
                        count += job.share
        return jobs

    def _take_turn(self, jobs: Sequence[Job]) -> None:
        parts = [job.next() for job in jobs]
        try:
            answers = list(self._run([item for part in parts for item in part]))
        except Exception as error:  # of any kind: the thread must live on
            if len(jobs) == 1:
                return jobs[0].answers.set_exception(error)
            half = len(jobs) // 2  # only the request with the faulty text fails
            self._take_turn(jobs[:half])
            self._take_turn(jobs[half:])
            return
        for job, part in zip(jobs, parts, strict=True):
            job.receive(answers[: len(part)])
            del answers[: len(part)]
