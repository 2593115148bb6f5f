"""The encoder: what enters the model, and vectors that do not depend on company or order."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import WORDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from retune.encoding import Encoder, token_batches
from retune.errors import InputError
from retune.model_directory import load_model, read_encoding
from retune.params.compute import Compute
from retune.params.fetch import Encoding

COMPUTE = Compute(device="cpu", token_budget=512, cache=None)
TEXTS = [" ".join(WORDS[(start * 7 + step) % len(WORDS)] for step in range(1 + start % 23)) for start in range(60)]


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> Encoder:
    return Encoder.load(tiny_model, COMPUTE)


@pytest.fixture(scope="module")
def vectors(encoder: Encoder) -> np.ndarray:
    return encoder.encode_documents(TEXTS)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def alone(request: pytest.FixtureRequest, tiny_model: Path) -> tuple[Encoder, np.ndarray]:
    """An encoder in each number format, with 1,024 tokens a batch, and the vectors of texts encoded one by one."""
    model = load_model(tiny_model, "cpu").to(getattr(torch, request.param))
    encoder = Encoder(model, read_encoding(tiny_model), COMPUTE.model_copy(update={"token_budget": 1024}))
    return encoder, np.concatenate([encoder.encode_documents([text]) for text in TEXTS])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=80))
def test_vector_does_not_depend_on_the_other_texts(alone: tuple[Encoder, np.ndarray], rows: list[int]) -> None:
    encoder, expected = alone
    np.testing.assert_array_equal(encoder.encode_documents([TEXTS[row] for row in rows]), expected[rows])


def test_vectors_of_other_budgets_are_close(alone: tuple[Encoder, np.ndarray], tiny_model: Path) -> None:
    encoder, expected = alone
    other = Encoder(encoder._model, encoder.encoding, COMPUTE)
    cosines = (other.encode_documents(TEXTS) * expected).sum(axis=1)
    assert cosines.min() >= 0.9999


class SmallMemory:
    """Takes the place of `Encoder._forward` on a device that has memory for so many tokens."""

    def __init__(self, encoder: Encoder, tokens: int) -> None:
        self.forward, self.tokens, self.shapes = encoder._forward, tokens, []
        encoder._forward = self

    def __call__(self, token_ids: list[list[int]], length: int) -> np.ndarray:
        self.shapes.append((len(token_ids), length))
        if len(token_ids) * length > self.tokens:
            raise torch.OutOfMemoryError
        return self.forward(token_ids, length)


def test_out_of_memory_halves_the_budget_and_goes_on(
    tiny_model: Path, vectors: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = Encoder.load(tiny_model, COMPUTE.model_copy(update={"token_budget": 4096}))
    memory = SmallMemory(encoder, 1024)
    np.testing.assert_allclose(encoder.encode_documents(TEXTS), vectors, atol=1e-5)
    assert encoder.token_budget == 1024
    assert memory.shapes[:3] == [(128, 32), (64, 32), (32, 32)]  # 4096, 2048, 1024 tokens
    assert "out of memory with 4096 tokens a batch; going on with half" in caplog.text


def test_memory_too_small_for_the_least_batch_is_an_error(tiny_model: Path) -> None:
    encoder = Encoder.load(tiny_model, COMPUTE)
    SmallMemory(encoder, 256)
    with pytest.raises(InputError, match="out of memory on cpu with 512 tokens a batch, the least; take a shorter"):
        encoder.encode_documents(TEXTS)


def test_equal_texts_are_encoded_once(encoder: Encoder, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenized: list[str] = []
    tokenize = encoder._tokenize
    monkeypatch.setattr(encoder, "_tokenize", lambda inputs, role: tokenized.extend(inputs) or tokenize(inputs, role))
    rows = [3, 5, 3, 3, 5]
    np.testing.assert_array_equal(encoder.encode_documents([TEXTS[row] for row in rows]), vectors[rows])
    assert tokenized == [TEXTS[3], TEXTS[5]]


def test_progress_bar_shows_texts_a_second_and_time_left(encoder: Encoder, capsys: pytest.CaptureFixture[str]) -> None:
    encoder.encode_documents(TEXTS)
    assert "encode documents:   0%|          | 0/60 [00:00<?, ?text/s]" in capsys.readouterr().err


def test_same_vectors_as_plain_sentence_transformers(tiny_model: Path, vectors: np.ndarray) -> None:
    theirs = SentenceTransformer(str(tiny_model), device="cpu").encode_document(TEXTS)
    np.testing.assert_allclose(vectors, theirs, atol=1e-6)


def test_no_text_gives_no_vector(encoder: Encoder) -> None:
    assert encoder.encode_documents([]).shape == (0, 32)


def test_query_is_prompt_prefix_text_and_suffix(tiny_model: Path) -> None:
    encoder = with_encoding(tiny_model, query_prefix="file ", query_suffix=" node", query_max_length=12)
    inputs = [f"{prompt}file {text}" for prompt, text in (("read ", "sum"), ("", "graph " * 30))]
    first, second = encoder.tokenize_queries(inputs)
    decode = encoder.tokenizer.decode
    assert decode(first) == "[CLS] read file sum node [SEP]"
    assert len(second) == 12
    assert decode(second).endswith("graph node [SEP]")


def test_vector_that_is_not_finite_is_refused(tiny_model: Path) -> None:
    model = load_model(tiny_model, "cpu")
    next(model.parameters()).data.fill_(float("nan"))
    with pytest.raises(
        InputError,
        match="documents: expected finite vectors, got one that is not, of the text 'sum'; try dtype: float32",
    ):
        Encoder(model, read_encoding(tiny_model), COMPUTE).encode_documents(["sum"])


def test_prefixes_are_saved_as_prompts(tiny_model: Path, tmp_path: Path) -> None:
    from retune.model_directory import save_model

    encoding = Encoding(
        **read_encoding(tiny_model).model_dump() | {"query_prefix": "path ", "document_prefix": "edge "}
    )
    save_model(load_model(tiny_model, "cpu"), encoding, tmp_path / "model")
    ours = Encoder.load(tmp_path / "model", COMPUTE)
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    np.testing.assert_allclose(ours.encode_queries(TEXTS, [None] * len(TEXTS)), theirs.encode_query(TEXTS), atol=1e-6)
    np.testing.assert_allclose(ours.encode_documents(TEXTS), theirs.encode_document(TEXTS), atol=1e-6)


def test_batches_hold_every_text_once_within_the_budget() -> None:
    lengths = [3, 17, 16, 250, 1, 40, 16]
    batches = token_batches(lengths, 64)
    assert sorted(row for rows, _ in batches for row in rows) == list(range(len(lengths)))
    for rows, length in batches:
        assert length % 16 == 0
        assert max(lengths[row] for row in rows) <= length
        assert len(rows) == 1 or len(rows) * length <= 64


def with_encoding(folder: Path, **changes: object) -> Encoder:
    encoding = Encoding(**read_encoding(folder).model_dump() | changes)
    return Encoder(load_model(folder, "cpu"), encoding, COMPUTE)
