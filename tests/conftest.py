"""Fixtures: tiny models and data made on the spot, and a copy of the repository to run DVC in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from transformers import BertConfig, BertModel, BertTokenizerFast

from retune.files import sha256

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
WORDS = [
    "the",
    "a",
    "of",
    "array",
    "matrix",
    "sum",
    "mean",
    "sort",
    "graph",
    "edge",
    "node",
    "path",
    "prime",
    "factor",
    "integer",
    "root",
    "solve",
    "plot",
    "file",
    "read",
]


@pytest.fixture(scope="session")
def tiny_transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 2 layers and 32 dimensions as transformers saves it: no pooling config."""
    folder = tmp_path_factory.mktemp("tiny_transformer")
    letters = [f"{mark}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789" for mark in ("", "##")]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *".,:?!#_-"]
    vocab = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = BertTokenizerFast(vocab=vocab, model_max_length=64)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encoding_values() -> dict[str, object]:
    """How texts enter the tiny model."""
    return {
        "query_prefix": "",
        "query_suffix": "",
        "document_prefix": "",
        "query_max_length": 32,
        "document_max_length": 48,
        "pooling": "mean",
        "dtype": "float32",
    }


@pytest.fixture(scope="session")
def fetch_values(tiny_transformer: Path, encoding_values: dict[str, object]) -> dict[str, object]:
    """A `fetch` entry that takes the tiny model."""
    weights = tiny_transformer / "model.safetensors"
    return encoding_values | {"source": "path", "path": str(tiny_transformer), "sha256": sha256(weights)}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, fetch_values: dict[str, object]) -> Path:
    """The tiny model as `fetch` writes it."""
    from retune import fetching
    from retune.params.fetch import Fetch

    out = tmp_path_factory.mktemp("models") / "tiny"
    fetching.fetch(Fetch.parse("fetch.tiny", fetch_values), out, where="params.yaml: fetch.tiny")
    return out


@pytest.fixture
def default_params() -> dict[str, dict]:
    """The repository's own params.yaml."""
    import dvc.api

    return dvc.api.params_show(str(REPOSITORY / "params.yaml"))


def run(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command with this Python first on PATH; the caller looks at the exit status."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "PYTEST_"))}
    return subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def succeed(command: str, folder: Path, **variables: str) -> str:
    """Run a shell command that must succeed and return what it printed."""
    result = run(command, folder, **variables)
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout + result.stderr


def clone(folder: Path) -> None:
    """Copy the working tree's tracked files into a new repository with its own history and empty DVC cache."""
    folder.mkdir(parents=True)
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, tracked):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    succeed("git init -q -b main && git config user.email test@example.com && git config user.name test", folder)


def write_params(folder: Path, params: dict) -> None:
    """Write params.yaml in block style."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
