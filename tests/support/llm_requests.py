"""Requests to a language model, and the parameters to ask them with."""

from typing import Any

from retune.llm.ask import ask
from retune.llm.ledger import Ledger
from retune.llm.replies import Reply, Request
from retune.params.llm import Llm

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
    "additionalProperties": False,
}
LLM = {"model": "small", "temperature": 0.5, "max_tokens": 100, "timeout_s": 5.0}


def llm(**changed: Any) -> Llm:
    return Llm.parse("llm", LLM | changed)


def request(user: str, **changed: Any) -> Request:
    return Request(**{"system": "Ask.", "user": user, "schema": SCHEMA, "prompt_version": "1"} | changed)


def ask_for(*users: str, **changed: Any) -> tuple[list[Reply], Ledger]:
    return ask([request(user) for user in users], llm(**changed), seed=13, desc="queries", most_failed=1.0)
