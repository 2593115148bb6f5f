"""Upload a published folder to the Hugging Face Hub, or say with which commands to do so."""

import os
from pathlib import Path

from retune.core.errors import InputError

TOKEN = "HF_TOKEN"


def upload(folder: Path, repo: str) -> str:
    """Upload a folder if there are a repository and a token in the environment.

    A new repository is private. Without a repository or a token, nothing is sent.

    Args:
        folder: The published folder.
        repo: The repository, as organisation/name; empty if there is none yet.

    Returns:
        The address of the commit, or the commands that upload the folder.

    Raises:
        InputError: The Hub refuses the repository, the token or the folder.
    """
    token = os.environ.get(TOKEN)
    if not (repo and token):
        commands = f"  hf auth login\n  hf upload --private {repo or 'organisation/name'} {folder} ."
        if repo:
            return f"To upload it, run this, or set {TOKEN}:\n{commands}"
        return (
            f"The card loads the model from {folder}. To upload it, first run make publish with "
            f"REPO=organisation/name, so that the card names the repository, then this:\n{commands}"
        )
    import httpx2
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    try:
        api.create_repo(repo, private=True, exist_ok=True)
        commit = api.upload_folder(repo_id=repo, folder_path=folder, commit_message=f"Publish {folder.name}")
    except (httpx2.HTTPError, OSError, ValueError) as error:  # ValueError: metadata or a name that the Hub refuses
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{repo}: expected an upload, got: {reason}; the folder {folder} is complete") from None
    return str(commit)
