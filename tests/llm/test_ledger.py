"""Tokens, their cost, and what a budget may be."""

import pytest

from retune.core.errors import InputError
from retune.llm.ledger import Ledger, Spent, Tokens, estimate_tokens, is_over_budget
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
    assert is_over_budget(Spent(tokens=tokens), llm(budget={"max_tokens": 10})) is is_over
    assert not is_over_budget(Spent(tokens=tokens), llm())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"budget": {}}, "llm.budget: expected max_cost or max_tokens, got None and None"),
        (
            {"budget": {"max_cost": 1, "max_tokens": 1}, "prices": PRICES.model_dump()},
            "llm.budget: expected max_cost or",
        ),
        ({"budget": {"max_cost": 1}}, "llm: budget.max_cost: expected prices beside it, found none"),
        ({"temperature": -1}, "llm.temperature: expected"),
        ({"model": ""}, "llm.model: expected"),
        ({"key": "sk-1"}, "llm.key: unknown parameter"),
    ],
)
def test_wrong_parameter_is_named(changed: dict, message: str) -> None:
    llm(temperature=0, timeout_s=300, budget={"max_tokens": 0})
    with pytest.raises(InputError, match=message):
        llm(**changed)
