"""From one request to one reply: delivery, and one repair of an unusable text."""

from collections.abc import Sequence
from dataclasses import replace

from retune.llm.attempts import Attempts
from retune.llm.json_reply import ReplyError, parse
from retune.llm.ledger import Limit, Spent
from retune.llm.replies import RawReply, Request
from retune.llm.server import INSTRUCTION, Message, Server, with_schema
from retune.params.llm import Llm

QUOTED = 4000  # characters of an unusable reply that are sent back


class Conversation:
    """The requests of one call to one server, within its limit."""

    def __init__(self, server: Server, params: Llm, spent: Spent, limit: Limit) -> None:
        self._server, self._spent = server, spent
        self._attempts = Attempts(server, params.timeout_s, spent, limit)

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
        return await self._attempts.deliver(lambda: self._server.send(messages, request.schema))
