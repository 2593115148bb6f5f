"""Count requests, tokens and cost, and know when the budget is spent."""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from retune.params.llm import Prices, Remote

BYTES_A_TOKEN = 4  # of UTF-8, for servers that do not report usage: four Latin letters, or one and a third of Chinese
DECIMALS = 6  # of a cost


@dataclass(frozen=True)
class Tokens:
    """The tokens of one or several replies and of their prompts.

    Attributes:
        input: Tokens of prompts.
        output: Tokens of replies.
        is_estimated: Whether the server left some of them to be estimated from bytes.
    """

    input: int = 0
    output: int = 0
    is_estimated: bool = False

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            self.input + other.input, self.output + other.output, self.is_estimated or other.is_estimated
        )  # fmt: skip

    def cost(self, prices: Prices | None) -> float | None:
        """Return what they cost, or None without prices."""
        if prices is None:
            return None
        cost = self.input * prices.per_million_input + self.output * prices.per_million_output
        return round(cost / 1e6, DECIMALS)


def estimate_tokens(texts: Iterable[str]) -> int:
    """Return about how many tokens some texts have, rounded up."""
    return -(-sum(len(text.encode("utf-8", "replace")) for text in texts) // BYTES_A_TOKEN)


@dataclass
class Spent:
    """What this call did; another call with the same requests does something else.

    Attributes:
        kept: Distinct requests that were answered from the folder of kept replies.
        replies: Distinct requests that the server answered.
        sent: HTTP requests.
        retries: Attempts that were made after another one had failed.
        repairs: Replies that were asked for once more, because they were no JSON of the schema.
        tokens: Of everything that arrived.
        seconds: How long it took.
    """

    kept: int = 0
    replies: int = 0
    sent: int = 0
    retries: int = 0
    repairs: int = 0
    tokens: Tokens = Tokens()
    seconds: float = 0.0


@dataclass
class Ledger:
    """What was asked, what came of it, and what it cost.

    Attributes:
        requests: All requests, identical ones counted each.
        problems: Requests without a value, by problem.
        unanswered: Those of them that got no reply, which another call asks again.
        tokens: Of all replies that were used, whenever they were paid for; the same with kept replies as without.
        cost: Of these tokens; None without prices.
        spent: What this call did.
    """

    requests: int
    problems: dict[str, int] = field(default_factory=dict)
    unanswered: int = 0
    tokens: Tokens = Tokens()
    cost: float | None = None
    spent: Spent = field(default_factory=Spent)

    @property
    def answered(self) -> int:
        """Requests with a value."""
        return self.requests - sum(self.problems.values())

    def metrics(self) -> dict[str, object]:
        """Return the counts that are the same with kept replies as without, for a file of metrics."""
        counts: dict[str, object] = {
            "requests": self.requests,
            "answered": self.answered,
            "unanswered": self.unanswered,
            "problems": dict(sorted(self.problems.items())),
            "input_tokens": self.tokens.input,
            "output_tokens": self.tokens.output,
            "tokens_are_estimated": self.tokens.is_estimated,
        }
        return counts if self.cost is None else counts | {"cost": self.cost}

    def line(self, desc: str, prices: Prices | None) -> str:
        """Return the counts as a sentence for the log."""
        spent, cost = self.spent, self.spent.tokens.cost(prices)
        price = "" if cost is None else f", cost {cost:.2f}"
        problems = ", ".join(f"{count:,} {problem}" for problem, count in sorted(self.problems.items()))
        return (
            f"{desc}: {self.answered:,} of {self.requests:,} requests answered{f' ({problems})' if problems else ''}; "
            f"{spent.kept:,} kept replies, {spent.replies:,} new ones in {spent.sent:,} HTTP requests "
            f"({spent.retries:,} retries, {spent.repairs:,} repairs), {spent.tokens.input:,} input and "
            f"{spent.tokens.output:,} output tokens{price}"
        )


class Limit:
    """What a call may spend, and until when: what `llm` allows a stage, less what its earlier calls took.

    Attributes:
        deadline: When the time is over, on the clock of `time.monotonic`.
    """

    def __init__(self, params: Remote, earlier: Sequence[Ledger] = ()) -> None:
        self._params = params
        self._tokens = sum((ledger.spent.tokens for ledger in earlier), Tokens())
        seconds = sum(ledger.spent.seconds for ledger in earlier)
        self.deadline = time.monotonic() + (params.total_timeout_s or math.inf) - seconds

    def is_reached(self, spent: Spent) -> bool:
        """Return whether the budget is spent, so that nothing more may be asked; requests in flight still finish."""
        budget, tokens = self._params.budget, self._tokens + spent.tokens
        if budget is None:
            return False
        if budget.tokens is not None:
            return tokens.input + tokens.output >= budget.tokens
        cost = tokens.cost(self._params.prices)
        return cost is not None and budget.cost is not None and cost >= budget.cost
