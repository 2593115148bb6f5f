"""A folder for replies, short waits, and a server in the environment."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from retune.llm import attempts
from retune.llm.attempts import Patience
from tests.support.llm_server import Behaviour, LlmServer, running

KEY = "sk-this-key-is-a-secret"


@pytest.fixture(autouse=True)
def replies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kept replies; no server is named, and waits are short."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "RETUNE_LLM_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RETUNE_REPLIES", str(tmp_path / "replies"))
    monkeypatch.setattr(attempts, "PATIENCE", Patience(attempts=4, first_wait_s=0.01, longest_wait_s=0.05))
    return tmp_path / "replies"


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Behaviour], LlmServer]]:
    """Start a server that behaves in some way, and name it and a key in the environment."""
    with ExitStack() as servers:

        def start(behave: Behaviour) -> LlmServer:
            server, url = servers.enter_context(running(behave))
            monkeypatch.setenv("OPENAI_BASE_URL", url)
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            return server

        yield start
