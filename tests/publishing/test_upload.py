"""Nothing is sent without a token and a repository."""

from pathlib import Path

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError

from retune.core.errors import InputError
from retune.publishing.upload import upload

FOLDER = Path("published/tuned")


class StandIn:
    """Takes the place of HfApi and records its calls."""

    calls: list[tuple[str, dict]] = []
    error: Exception | None = None

    def __init__(self, token: str) -> None:
        StandIn.calls = [("token", {"token": token})]

    def create_repo(self, repo_id: str, **options: object) -> None:
        self.calls.append(("create_repo", {"repo_id": repo_id} | options))

    def upload_folder(self, **options: object) -> str:
        if StandIn.error:
            raise StandIn.error
        self.calls.append(("upload_folder", options))
        return "https://huggingface.co/org/tuned/commit/1"


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", StandIn)
    monkeypatch.setattr(StandIn, "error", None)
    StandIn.calls = []


def test_folder_is_uploaded_to_a_private_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert upload(FOLDER, "org/tuned") == "https://huggingface.co/org/tuned/commit/1"
    assert StandIn.calls == [
        ("token", {"token": "hf_secret"}),
        ("create_repo", {"repo_id": "org/tuned", "private": True, "exist_ok": True}),
        ("upload_folder", {"repo_id": "org/tuned", "folder_path": FOLDER, "commit_message": "Publish tuned"}),
    ]


@pytest.mark.parametrize(("token", "repo"), [("", "org/tuned"), ("hf_secret", ""), ("", "")])
def test_without_token_or_repository_the_commands_are_named(
    token: str, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    said, *commands = upload(FOLDER, repo).splitlines()
    assert commands == [
        "  hf auth login",
        f"  hf upload --private {repo or 'organisation/name'} published/tuned .",
    ]
    assert ("REPO=organisation/name" in said) is not bool(repo)
    assert StandIn.calls == []


REQUEST = httpx2.Request("POST", "https://huggingface.co")


@pytest.mark.parametrize(
    "error",
    [
        HfHubHTTPError("not now\nmore", response=httpx2.Response(401, request=REQUEST)),
        httpx2.ConnectError("not now"),
        ValueError("not now\nmore"),
    ],
)
def test_refusal_of_the_hub_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    monkeypatch.setattr(StandIn, "error", error)
    with pytest.raises(InputError, match=r"^org/tuned: expected an upload, got: not now.*; the folder .* is complete$"):
        upload(FOLDER, "org/tuned")
