"""Fixtures: a tiny model made on the spot, and the default parameters."""

import copy
import gc
import multiprocessing.spawn
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from retune.core.files import sha256
from tests.support import fork_server
from tests.support.repository import REPOSITORY, WORDS

os.environ["RETUNE_CACHE"] = ""  # no test leaves vectors in the user's cache
LONGEST = ("test_tutorial.py", "test_pipeline.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start with the files that take longest, and skip what a machine lacks also where -m does not leave it out."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path.name not in LONGEST, item.path not in slow))
    skipped = {}
    if not torch.cuda.is_available():
        skipped["gpu"] = "needs a CUDA device"
    if "network" not in config.option.markexpr:
        skipped["network"] = "needs the Hugging Face Hub; -m network runs it"
    for item in items:
        for name, reason in skipped.items():
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module", autouse=True)
def collector_passes_over_imports() -> None:
    """Training calls the garbage collector often, and looking through all that was imported takes it most of a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def server() -> Iterator[Path]:
    """The folder of a fork server."""
    with fork_server.start() as folder:
        yield folder


@pytest.fixture
def forks(server: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stages in a shell and spawned processes start as forks, in a tenth of the time."""
    monkeypatch.setenv(fork_server.VARIABLE, str(server))
    executable = multiprocessing.spawn.get_executable()
    multiprocessing.set_executable(server / "python")
    yield
    multiprocessing.set_executable(executable)


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
    from retune.fetching import fetch
    from retune.params.fetch import Fetch

    out = tmp_path_factory.mktemp("models") / "tiny"
    fetch.fetch(Fetch.parse("fetch.tiny", fetch_values), out, where="params.yaml: fetch.tiny")
    return out


@pytest.fixture(scope="session")
def params_as_read() -> dict[str, dict]:
    import dvc.api

    return dvc.api.params_show(str(REPOSITORY / "params.yaml"))


@pytest.fixture
def default_params(params_as_read: dict[str, dict]) -> dict[str, dict]:
    """The repository's own params.yaml, to change."""
    return copy.deepcopy(params_as_read)
