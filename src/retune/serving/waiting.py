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
    """More texts wait than may; `retry_after_s` is the number of seconds in which those there will be done."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class Job:
    """The texts of one request.

    Attributes:
        answers: The answers of all texts, once the model has run on the last of them, or what went wrong.
        is_abandoned: Whether nobody needs the answers any more; to be set by whoever asked for them.
    """

    def __init__(self, items: Sequence[Any]) -> None:
        self.answers: Future[list[Answer]] = Future()
        self.is_abandoned = False
        self._items, self._done = items, list[Answer]()

    def next(self) -> Sequence[Any]:
        """Return the texts of the next turn."""
        return self._items[len(self._done) : len(self._done) + SHARE]

    def receive(self, answers: Sequence[Answer]) -> None:
        """Take the answers of a turn."""
        self._done += answers
        if not self.size:
            self.answers.set_result(self._done)

    @property
    def size(self) -> int:
        """The number of texts without an answer."""
        return len(self._items) - len(self._done)


class Waiting:
    """Requests in the order in which they came, each of which gets a share of every turn.

    Nothing waits for a turn to fill up: while the model runs, requests come in, and the next turn takes them all. A
    vector does not depend on the texts it is computed with, so turns change none.
    """

    def __init__(self, run: Callable[[Sequence[Any]], Sequence[Answer]], *, limit: int) -> None:
        """Start the thread.

        Args:
            run: Returns the answer of each text; only the thread calls it.
            limit: The most texts that may wait.
        """
        self._run, self._limit = run, limit
        self._jobs: deque[Job] = deque()
        self._seconds_a_text, self._is_closed = 0.0, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._take_turns, name="model", daemon=True)
        self._thread.start()

    def submit(self, items: Sequence[Any]) -> Job:
        """Let texts wait for the model.

        Raises:
            FullError: Too many texts would wait.
        """
        job = Job(items)
        with self._changed:
            size = sum(job.size for job in self._jobs)
            if size + len(items) > self._limit:
                raise FullError(max(1, round(size * self._seconds_a_text)))
            self._jobs.append(job)
            self._changed.notify()
        return job

    def close(self) -> None:
        """End the thread after its turn."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _take_turns(self) -> None:
        while jobs := self._next_jobs():
            started, size = time.monotonic(), sum(len(job.next()) for job in jobs)
            self._take_turn(jobs)
            self._seconds_a_text = (time.monotonic() - started) / size
            with self._changed:
                self._jobs.extend(job for job in jobs if not job.answers.done())

    def _next_jobs(self) -> list[Job]:
        """Return the requests of the next turn, once there are some; none if the thread is to end."""
        jobs: list[Job] = []
        with self._changed:
            while not jobs:
                self._changed.wait_for(lambda: self._jobs or self._is_closed)
                if self._is_closed:
                    return []
                while self._jobs and sum(len(job.next()) for job in jobs) < TURN:
                    job = self._jobs.popleft()
                    jobs += [] if job.is_abandoned else [job]
        return jobs

    def _take_turn(self, jobs: Sequence[Job]) -> None:
        parts = [job.next() for job in jobs]
        try:
            answers = list(self._run([item for part in parts for item in part]))
        except Exception as error:  # of any kind: the thread must live on
            if len(jobs) == 1:
                return jobs[0].answers.set_exception(error)
            for job in jobs:  # so that only the request with the faulty text fails
                self._take_turn([job])
            return
        for job, part in zip(jobs, parts, strict=True):
            job.receive(answers[: len(part)])
            del answers[: len(part)]
