"""The folder of kept replies, shared through DVC."""

import os
import shutil
from pathlib import Path

import pytest

from retune.llm.ledger import Tokens
from retune.llm.replies import RawReply, keep, read_kept, request_key
from tests.support.commands import blocks, lines
from tests.support.llm_requests import llm, request
from tests.support.repository import REPOSITORY, succeed

ANSWER = RawReply('{"query": "什么 \ud800"}', "", Tokens(10, 5))


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    key = request_key(request("a"), llm(), 13)
    keep(tmp_path, key, ANSWER, {"model": "small", "prompt_version": "1"})
    assert read_kept(tmp_path, key) == ANSWER
    assert read_kept(tmp_path, request_key(request("b"), llm(), 13)) is None
    assert [path.name for path in tmp_path.rglob("*.*")] == [f"{key[2:]}.json"]


def test_key_stays_the_same_so_that_kept_replies_stay_of_use() -> None:
    assert request_key(request("a"), llm(), 13)[:16] == "87402761924fc0ba"


def test_reply_that_cannot_be_written_is_an_error_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "ab").touch()
    with pytest.raises(ValueError, match="^RETUNE_REPLIES: expected a folder that can be written to"):
        keep(tmp_path, "ab" * 32, ANSWER, {})


@pytest.mark.slow
def test_replies_can_be_shared_as_the_page_says(tmp_path: Path) -> None:
    """Also where DVC links to its cache, and when there are more of them."""
    project = tmp_path / "project"
    project.mkdir()
    succeed("git init -q && dvc init -q && dvc config cache.type symlink", project)
    shutil.copy2(REPOSITORY / ".gitignore", project)
    commands = lines(blocks("docs/language_models.md")[1])
    for number in range(2):
        keep(project / "data/replies", f"{number:064x}", ANSWER, {"model": "small"})
        for command in commands:
            succeed(command, project)
    assert "data/replies.dvc" in succeed("git status --short", project)
    assert "data/replies/" not in succeed("git status --short --untracked-files=all", project)
    shutil.rmtree(project / "data/replies")
    succeed("dvc checkout -q", project)
    for number in range(2):
        assert read_kept(project / "data/replies", f"{number:064x}") == ANSWER
    assert os.path.islink(next((project / "data/replies").rglob("*.json")))
