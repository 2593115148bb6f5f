"""How well a document answers a query, in the eyes of a language model."""

from collections.abc import Sequence

from retune.llm.ask import ask
from retune.llm.json_reply import object_schema
from retune.llm.ledger import Ledger
from retune.llm.prompts import Prompt, without_tags
from retune.llm.replies import Request
from retune.params.llm import Llm

SCHEMA = object_schema({"score": {"type": "integer", "minimum": 1, "maximum": 10}})


def judge(
    pairs: Sequence[tuple[str, str]], llm: Llm, prompt: Prompt, *, seed: int, earlier: Sequence[Ledger] = ()
) -> tuple[list[int | None], Ledger]:
    """Return the language model's score of each pair of a query and a document, and what was asked and spent.

    Args:
        pairs: The texts of queries and documents.
        llm: Whom to ask.
        prompt: The prompt `judge` in the language of the documents.
        seed: Sent to the server.
        earlier: What the stage has asked before, which counts towards budget and time.

    Returns:
        Scores from 1 to 10, higher is a better answer; None where there is none. And the ledger.

    Raises:
        InputError: The server cannot be reached, rejects the requests, or failed for many.
    """
    requests = [
        Request(
            prompt.fill("system"),
            prompt.fill("user", query=without_tags(query), document=without_tags(document)),
            SCHEMA,
            prompt.version,
        )
        for query, document in pairs
    ]
    replies, ledger = ask(requests, llm, seed=seed, desc="judge", earlier=earlier)
    return [None if reply.value is None else int(reply.value["score"]) for reply in replies], ledger
