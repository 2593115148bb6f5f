"""Requests, their replies, and the folder that keeps every reply that arrived.

A reply is kept in a file of its own, under a hash of all that the server was asked, so a stopped run goes on where it
was and a rerun asks nothing. The file contains the text of the reply, which is read in the same way old or new.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retune.core.errors import InputError
from retune.llm.json_reply import ReplyError, parse
from retune.llm.ledger import Tokens
from retune.params.llm import Llm

LOG = logging.getLogger(__name__)

# problems of requests without a reply, which the next call asks again
OVER_BUDGET = "over budget"
TIMED_OUT = "timed out"
OUT_OF_TIME = "out of time"  # of all requests together
CONNECTION_LOST = "connection lost"
NO_SERVER = "no server"  # the environment names none, and nearly all replies are kept
INVALID_RESPONSE = "invalid response"
SERVER_ERROR = "server error"  # followed by the status

# problems of replies
REFUSED = "refused"
CUT_OFF = "cut off"  # after max_tokens
EMPTY = "empty reply"
TOO_LONG = "too long"
PROMPT_TOO_LONG = "prompt too long"


@dataclass(frozen=True)
class Request:
    """One question to a language model.

    Attributes:
        system: What it is to do; the same for many requests.
        user: What it is to do it with, such as a document.
        schema: The JSON schema of the object that it is to reply with; every property required, no other allowed.
        prompt_version: Name or hash of the prompt; replies to another version are never used.
    """

    system: str
    user: str
    schema: Mapping[str, Any]
    prompt_version: str


@dataclass(frozen=True)
class Reply:
    """What a language model replied.

    Attributes:
        value: The object, which the schema allows, or None.
        problem: Why there is none; empty if there is one.
    """

    value: dict[str, Any] | None
    problem: str


@dataclass(frozen=True)
class RawReply:
    """A reply as it arrived, which is what is kept.

    Attributes:
        content: The text.
        ending: Why the text cannot be used, if that was known before reading it, such as `refused`.
        tokens: What it took, with the replies before it that had to be repaired.
    """

    content: str
    ending: str
    tokens: Tokens

    def read(self, schema: Mapping[str, Any]) -> Reply:
        """Return the object in the text, or why there is none."""
        if self.ending:
            return Reply(None, self.ending)
        try:
            return Reply(parse(self.content, schema), "")
        except ReplyError as error:
            return Reply(None, error.problem)


def request_key(request: Request, params: Llm, seed: int) -> str:
    """Return a hash of all that may change a reply, 64 hexadecimal digits."""
    asked = [params.model, params.temperature, params.top_p, params.max_tokens, seed, request.schema]
    asked += [request.system, request.user, request.prompt_version]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def read_kept(folder: Path, key: str) -> RawReply | None:
    """Return the kept reply to a request; None if there is none, or if its file is damaged."""
    path = _path(folder, key)
    try:
        record = json.loads(path.read_bytes())
        check = record.pop("check")
        reply = RawReply(
            str(record["content"]),
            str(record["ending"]),
            Tokens(int(record["input_tokens"]), int(record["output_tokens"]), bool(record["is_estimated"])),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        check, record = "", {}
    if not record or check != _check(key, record):
        LOG.warning("%s: expected a kept reply, found a damaged file; it is ignored and asked for again", path)
        return None
    return reply


def keep(folder: Path, key: str, reply: RawReply, about: Mapping[str, str]) -> None:
    """Write a reply atomically.

    Args:
        folder: The folder of kept replies.
        key: The request's `request_key`.
        reply: What arrived.
        about: What people may want to search for, such as the version of the prompt.
    """
    record = dict(about) | {
        "content": reply.content,
        "ending": reply.ending,
        "input_tokens": reply.tokens.input,
        "output_tokens": reply.tokens.output,
        "is_estimated": reply.tokens.is_estimated,
    }
    text = json.dumps(record | {"check": _check(key, record)}, indent=1, sort_keys=True)  # ASCII: any text can be kept
    path = _path(folder, key)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # another process may ask the same
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(f"{text}\n", encoding="ascii", newline="\n")
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"RETUNE_REPLIES: expected a folder that can be written to, got: {error}") from None


def _path(folder: Path, key: str) -> Path:
    return folder / key[:2] / f"{key[2:]}.json"


def _check(key: str, record: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{key}{json.dumps(record, sort_keys=True)}".encode()).hexdigest()[:16]
