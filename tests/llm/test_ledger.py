"""Tokens, their cost, and what a budget may be."""

import time

import pytest

from retune.core.errors import InputError
from retune.llm.ledger import Ledger, Limit, Spent, Tokens, estimate_tokens
from retune.params.llm import Prices
from tests.support.llm_requests import llm

PRICES = Prices(per_million_input=0.5, per_million_output=2.0)


def test_cost_is_tokens_times_prices() -> None:
    assert Tokens(1_000_000, 500_000).cost(PRICES) == 1.5  # 0.5 + 1.0
    assert Tokens(1_000_000, 500_000).cost(None) is None


def test_token_is_four_bytes_rounded_up() -> None:
    assert estimate_tokens(["abcde"]) == 2
    assert estimate_tokens(["中文", "ab"]) == 2  # 6 + 2 bytes


def test_sum_of_tokens_is_estimated_if_a_part_is() -> None:
    assert Tokens(1, 2) + Tokens(3, 4, True) == Tokens(4, 6, True)


def test_metrics_do_not_say_what_was_kept() -> None:
    ledger = Ledger(3, {"refused": 1}, 0, Tokens(10, 5), 0.25, Spent(kept=2))
    assert ledger.metrics() == {
        "requests": 3,
        "answered": 2,
        "unanswered": 0,
        "problems": {"refused": 1},
        "input_tokens": 10,
        "output_tokens": 5,
        "tokens_are_estimated": False,
        "cost": 0.25,
    }


@pytest.mark.parametrize(("tokens", "is_over"), [(Tokens(5, 4), False), (Tokens(5, 5), True)])
def test_budget_is_spent_when_its_limit_is_reached(tokens: Tokens, is_over: bool) -> None:
    assert Limit(llm(budget={"tokens": 10})).is_reached(Spent(tokens=tokens)) is is_over
    assert not Limit(llm()).is_reached(Spent(tokens=tokens))


def test_earlier_calls_count_towards_budget_and_time() -> None:
    params = llm(budget={"cost": 1.0}, prices=PRICES.model_dump(), total_timeout_s=100.0)
    earlier = [Ledger(1, spent=Spent(tokens=Tokens(0, 200_000), seconds=30.0)) for _ in range(2)]  # cost 0.8
    limit = Limit(params, earlier)
    assert not limit.is_reached(Spent(tokens=Tokens(0, 90_000)))
    assert limit.is_reached(Spent(tokens=Tokens(0, 100_000)))
    assert limit.deadline == pytest.approx(time.monotonic() + 40.0, abs=5.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"budget": {}}, "llm.budget: expected cost or tokens, got None and None"),
        (
            {"budget": {"cost": 1, "tokens": 1}, "prices": PRICES.model_dump()},
            "llm.budget: expected cost or",
        ),
        ({"budget": {"cost": 1}}, "llm: budget.cost: expected prices beside it, found none"),
        ({"budget": {"max_tokens": 1}}, "llm.budget.max_tokens: .*write tokens"),
        ({"temperature": -1}, "llm.temperature: expected"),
        ({"model": ""}, "llm.model: expected"),
        ({"key": "sk-1"}, "llm.key: unknown parameter"),
    ],
)
def test_wrong_parameter_is_named(changed: dict, message: str) -> None:
    llm(temperature=0, timeout_s=300, budget={"tokens": 0})
    with pytest.raises(InputError, match=message):
        llm(**changed)
