"""Models that are loaded with the first text no cache has, and what is refused before and then."""

import json
import shutil
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from retune.core.errors import InputError
from retune.encoding import hardware, loading
from retune.encoding.cache_store import read_dim
from retune.encoding.compute import Cache, Compute
from retune.encoding.encoder import Encoder
from retune.models.directory import load_model, read_encoding, save_model
from tests.support.repository import WORDS

UNCACHED = Compute(device="cpu", token_budget=512)
TEXTS = ["sum of a graph", "the mean node", "sort " * 60]  # of 48 tokens at most, so the last is cut


@pytest.fixture
def compute(tmp_path: Path) -> Compute:
    return UNCACHED.model_copy(update={"cache": Cache(folder=tmp_path / "cache", max_gb=1.0)})


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories of the models that encoders load, in order."""
    folders: list[Path] = []

    def load(folder: Path, device: str) -> SentenceTransformer:
        folders.append(folder)
        return load_model(folder, device)

    monkeypatch.setattr(loading, "load_model", load)
    return folders


@pytest.fixture(scope="module")
def expected(tiny_model: Path) -> np.ndarray:
    """The vectors of a model that was loaded by hand."""
    return Encoder(load_model(tiny_model, "cpu"), read_encoding(tiny_model), UNCACHED).encode_documents(TEXTS)


def test_model_is_loaded_once_with_the_first_text(tiny_model: Path, loaded: list[Path], expected: np.ndarray) -> None:
    encoder = Encoder.load(tiny_model, UNCACHED)
    assert loaded == []
    np.testing.assert_array_equal(encoder.encode_documents(TEXTS), expected)
    encoder.encode_queries(["sum"], [None])
    assert loaded == [tiny_model]


def test_model_is_not_loaded_when_all_vectors_are_cached(
    tiny_model: Path, compute: Compute, loaded: list[Path], expected: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    cold = Encoder.load(tiny_model, compute)
    np.testing.assert_array_equal(cold.encode_documents(TEXTS), expected)
    queries = cold.encode_queries(["sum", "mean"], [None, "the "])
    assert loaded == [tiny_model]
    caplog.set_level("INFO", "retune")
    caplog.clear()  # an earlier test may have left the level at INFO
    warm = Encoder.load(tiny_model, compute)
    np.testing.assert_array_equal(warm.encode_documents(TEXTS[::-1]), expected[::-1])
    np.testing.assert_array_equal(warm.encode_queries(["mean", "sum"], ["the ", None]), queries[::-1])
    assert loaded == [tiny_model]
    assert caplog.messages == [
        f"{tiny_model}: encoding on cpu in float32",
        "documents: 1 of 3 texts cut to 48 tokens",
    ]


def test_model_is_loaded_for_the_one_text_that_is_not_cached(
    tiny_model: Path, compute: Compute, loaded: list[Path], expected: np.ndarray
) -> None:
    Encoder.load(tiny_model, compute).encode_documents(TEXTS[:2])
    partly = Encoder.load(tiny_model, compute)
    partly.encode_documents(TEXTS[:2])
    assert len(loaded) == 1
    np.testing.assert_array_equal(partly.encode_documents(TEXTS), expected)
    assert len(loaded) == 2


def test_models_of_other_dimensions_share_a_folder(
    tiny_model: Path, compute: Compute, tmp_path: Path, loaded: list[Path], expected: np.ndarray
) -> None:
    model = load_model(tiny_model, "cpu")
    narrow = SentenceTransformer(modules=[model[0], model[1], Dense(32, 24)], device="cpu")
    save_model(narrow, read_encoding(tiny_model), tmp_path / "narrow")
    vectors = Encoder.load(tmp_path / "narrow", compute).encode_documents(TEXTS)
    Encoder.load(tiny_model, compute).encode_documents(TEXTS)
    assert len(loaded) == 2
    assert vectors.shape == (3, 24)
    np.testing.assert_array_equal(Encoder.load(tmp_path / "narrow", compute).encode_documents(TEXTS), vectors)
    np.testing.assert_array_equal(Encoder.load(tiny_model, compute).encode_documents(TEXTS), expected)
    assert len(loaded) == 2


def rewrite_about(compute: Compute, checksum: int | None = None) -> Path:
    """Let the cache's one file say that its vectors have 16 dimensions, under its right checksum or another."""
    (path,) = compute.cache.folder.glob("*.sqlite")
    content = json.dumps({"dim": 16, "model": "tiny", "role": "documents"}).encode()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE about SET checksum = ?, content = ?", (checksum or zlib.crc32(content), content))
    return path


def test_model_of_other_dimensions_than_the_cache_says_is_refused(tiny_model: Path, compute: Compute) -> None:
    Encoder.load(tiny_model, compute).encode_documents(TEXTS)
    path = rewrite_about(compute)
    message = f"^{path}: expected vectors of 32 dimensions, like those of the model 'tiny', got 16; run `python"
    with pytest.raises(InputError, match=message):
        Encoder.load(tiny_model, compute).encode_documents(TEXTS)


def test_damaged_dimensions_are_the_model_s(
    tiny_model: Path, compute: Compute, expected: np.ndarray, loaded: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    Encoder.load(tiny_model, compute).encode_documents(TEXTS)
    path = rewrite_about(compute, checksum=7)
    np.testing.assert_array_equal(Encoder.load(tiny_model, compute).encode_documents(TEXTS), expected)
    assert len(loaded) == 2
    assert f"{path}: damaged" in caplog.text
    assert read_dim(path) == 32


def test_looking_for_a_file_makes_none(tmp_path: Path) -> None:
    assert read_dim(tmp_path / "cache" / "a b?.sqlite") is None
    assert read_dim(tmp_path / "a.sqlite") is None
    assert list(tmp_path.iterdir()) == []


def test_directory_that_changed_before_its_model_was_loaded_is_refused(
    tiny_model: Path, compute: Compute, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    encoder = Encoder.load(folder, compute)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(
        InputError, match="model: expected the files that were there when the stage started, got changed ones"
    ):
        encoder.encode_documents(TEXTS)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config_sentence_transformers.json", '{"model_type": "CrossEncoder"}', "embedding model, got a cross-encoder"),
        ("modules.json", "{", "modules.json: expected a list of modules"),
        ("retune.json", "{}", "retune.json: expected settings, got: 4 validation errors"),
    ],
)
def test_directory_of_another_kind_is_refused_at_once(
    name: str, content: str, message: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=message):
        Encoder.load(folder, UNCACHED)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_directory_that_does_not_load_is_one_line(name: str, tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    (folder / name).write_text("{")
    encoder = Encoder.load(folder, UNCACHED)
    with pytest.raises(
        InputError, match=r"model: expected a model, got: .*; run the stage that writes it again$"
    ) as error:
        encoder.encode_documents(TEXTS)
    assert "\n" not in str(error.value)


def static_model() -> SentenceTransformer:
    """One axis for each word."""
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="the"))
    table = StaticEmbedding(tokenizer, embedding_weights=np.eye(len(WORDS), dtype=np.float32))
    return SentenceTransformer(modules=[table], device="cpu")


@pytest.mark.parametrize(
    ("dtype", "is_static", "expected_dtype"),
    [
        ("auto", True, torch.float32),
        ("auto", False, torch.bfloat16),
        ("float16", True, torch.float16),
        ("float16", False, torch.float16),
    ],
)
def test_number_format_is_known_before_the_model_is_loaded(
    dtype: str,
    is_static: bool,
    expected_dtype: torch.dtype,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hardware, "has_fast_bfloat16", lambda device: True)
    encoding = read_encoding(tiny_model).model_copy(update={"dtype": dtype})
    model = static_model() if is_static else load_model(tiny_model, "cpu")
    save_model(model, encoding, tmp_path / "model")
    encoder = Encoder.load(tmp_path / "model", UNCACHED)
    assert encoder.dtype == expected_dtype
    assert {each.dtype for each in encoder.model.parameters()} == {expected_dtype}
    assert {each.dtype for each in Encoder.snapshot(model, encoding, UNCACHED).model.parameters()} == {expected_dtype}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_model_in_training_gives_the_vectors_of_a_loaded_one_whatever_its_attention(
    dtype: str, tiny_model: Path
) -> None:
    encoding = read_encoding(tiny_model).model_copy(update={"dtype": dtype})
    texts = [" ".join(WORDS[:length]) for length in range(1, 30)]
    loaded = loading.load_prepared(tiny_model, "cpu", getattr(torch, dtype))
    expected = Encoder(loaded, encoding, UNCACHED).encode_documents(texts)
    trained = load_model(tiny_model, "cpu", attention="eager")
    np.testing.assert_array_equal(Encoder.snapshot(trained, encoding, UNCACHED).encode_documents(texts), expected)
    assert trained[0].model.config._attn_implementation == "eager"  # the copy alone was changed
    as_trained = Encoder(trained.to(getattr(torch, dtype)), encoding, UNCACHED).encode_documents(texts)
    assert not np.array_equal(as_trained, expected)
