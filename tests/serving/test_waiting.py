"""Requests wait for the model: each gets a share of every turn, and only a faulty one fails."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError

import pytest

from retune.core.errors import InputError
from retune.serving import waiting
from retune.serving.waiting import Answer, FullError, Job, Waiting

S = 20.0  # seconds after which a test has hung


class Model:
    """Answers a text with its length once it is let through; `turns` are the texts of each turn."""

    def __init__(self) -> None:
        self.turns: list[list[str]] = []
        self.has_begun, self.may_go = threading.Event(), threading.Event()

    def run(self, texts: Sequence[str]) -> list[Answer]:
        self.turns.append(list(texts))
        self.has_begun.set()
        assert self.may_go.wait(S)
        if "bad" in texts:
            raise InputError("no vector")
        return [Answer(len(text), 1) for text in texts]


Start = Callable[..., Waiting]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def start(model: Model) -> Iterator[Start]:
    started = []

    def start(limit: int = 100) -> Waiting:
        started.append(Waiting(model.run, limit=limit))
        return started[-1]

    yield start
    model.may_go.set()
    for queue in started:
        queue.close()


def submit(queue: Waiting, texts: list[str]) -> Job:
    return queue.submit(texts, sum(map(len, texts)))


def busy(model: Model, queue: Waiting) -> Job:
    """Let the model begin with a request, so that those that follow wait."""
    job = submit(queue, ["first"])
    assert model.has_begun.wait(S)
    return job


def values(job: Job) -> list[int]:
    return [answer.value for answer in job.answers.result(S)]


def test_requests_that_came_in_while_the_model_ran_are_one_turn(model: Model, start: Start) -> None:
    queue = start()
    first = busy(model, queue)
    others = [submit(queue, ["a", "bb"]), submit(queue, ["ccc"])]
    model.may_go.set()
    assert [values(job) for job in (first, *others)] == [[5], [1, 2], [3]]
    assert model.turns == [["first"], ["a", "bb", "ccc"]]


def test_long_request_does_not_hold_up_short_ones(model: Model, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SHARE", 2)
    monkeypatch.setattr(waiting, "TURN", 3)
    queue = start()
    busy(model, queue)
    long, short, other = submit(queue, list("abcde")), submit(queue, ["x"]), submit(queue, ["y"])
    model.may_go.set()
    assert [len(values(job)) for job in (long, short, other)] == [5, 1, 1]
    assert model.turns[1:] == [["a", "b", "x"], ["y", "c", "d"], ["e"]]


def test_faulty_text_fails_only_its_own_request(model: Model, start: Start) -> None:
    queue = start()
    busy(model, queue)
    good, bad, last = submit(queue, ["a"]), submit(queue, ["bad"]), submit(queue, ["cc"])
    model.may_go.set()
    assert (values(good), values(last)) == ([1], [2])
    with pytest.raises(InputError, match="no vector"):
        bad.answers.result(S)
    assert values(submit(queue, ["later"])) == [5]


def test_faulty_text_costs_few_more_turns(model: Model, start: Start) -> None:
    queue = start(limit=2000)
    busy(model, queue)
    jobs = [submit(queue, ["bad" if number == 77 else "good"]) for number in range(256)]
    model.may_go.set()
    assert [values(job) for number, job in enumerate(jobs) if number != 77] == [[4]] * 255
    assert len(model.turns) < 25


def test_full_queue_says_when_to_ask_again(model: Model, start: Start) -> None:
    queue = start(limit=8)
    busy(model, queue)  # five characters, which count until they are answered
    kept = submit(queue, ["a", "b"])
    with pytest.raises(FullError) as caught:
        submit(queue, ["c", "d"])
    assert caught.value.retry_after_s >= 1
    last = submit(queue, ["c"])
    model.may_go.set()
    assert (values(kept), values(last)) == ([1, 1], [1])


def test_abandoned_request_does_not_reach_the_model(model: Model, start: Start) -> None:
    queue = start()
    busy(model, queue)
    gone, kept = submit(queue, ["gone"]), submit(queue, ["kept"])
    gone.is_abandoned = True
    model.may_go.set()
    assert values(kept) == [4]
    assert model.turns == [["first"], ["kept"]]
    with pytest.raises(TimeoutError):
        gone.answers.result(0.0)
