"""The encoder: what enters the model, and vectors that do not depend on company or order."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, StaticEmbedding, Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import Sequence
from transformers import BertTokenizerFast, PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

from retune.core.errors import InputError
from retune.encoding.batching import Batching
from retune.encoding.compute import Cache, Compute
from retune.encoding.encoder import Encoder
from retune.models.directory import load_model, read_encoding
from retune.models.encoding_settings import Encoding
from tests.support.repository import WORDS

COMPUTE = Compute(device="cpu", token_budget=512)
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


@pytest.mark.slow
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=80))
def test_vector_does_not_depend_on_the_other_texts(alone: tuple[Encoder, np.ndarray], rows: list[int]) -> None:
    encoder, expected = alone
    np.testing.assert_array_equal(encoder.encode_documents([TEXTS[row] for row in rows]), expected[rows])


def test_dense_module_after_pooling_gives_the_same_bits_in_any_company(tiny_model: Path) -> None:
    model = load_model(tiny_model, "cpu")
    dim = int(model.get_embedding_dimension() or 0)
    torch.manual_seed(0)
    model = SentenceTransformer(modules=[model[0], model[1], Dense(dim, 24)], device="cpu")
    # of 33 to 48 tokens there are 10 in a batch of 512 tokens: not as many as a product's blocks hold
    texts = [" ".join(WORDS[(start + place) % len(WORDS)] for place in range(38)) for start in range(10)]
    encoder = Encoder.snapshot(model, read_encoding(tiny_model), COMPUTE)
    vectors = encoder.encode_documents(texts)
    np.testing.assert_allclose(vectors, model.encode(texts, normalize_embeddings=True), atol=1e-6)
    np.testing.assert_array_equal(encoder.encode_documents(texts[::-1]), vectors[::-1])


def test_vectors_of_other_budgets_are_close(alone: tuple[Encoder, np.ndarray], tiny_model: Path) -> None:
    encoder, expected = alone
    other = Encoder(encoder.model, encoder.encoding, COMPUTE)
    cosines = (other.encode_documents(TEXTS) * expected).sum(axis=1)
    assert cosines.min() >= 0.9999


class SmallMemory:
    """Takes the place of `BatchRunner.forward` on a device that has memory for so many tokens."""

    def __init__(self, encoder: Encoder, tokens: int) -> None:
        self.forward, self.tokens, self.shapes = encoder.runner.forward, tokens, []
        encoder.runner.forward = self

    def __call__(self, token_ids: list[list[int]], length: int) -> np.ndarray:
        self.shapes.append((len(token_ids), length))
        if len(token_ids) * length > self.tokens:
            raise torch.OutOfMemoryError
        return self.forward(token_ids, length)


def test_out_of_memory_halves_the_budget_and_goes_on(
    tiny_model: Path, vectors: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = Encoder.load(tiny_model, COMPUTE)
    encoder.runner.batching = Batching(COMPUTE.model_copy(update={"token_budget": 4096}), torch.device("cuda"))
    memory = SmallMemory(encoder, 1024)
    np.testing.assert_allclose(encoder.encode_documents(TEXTS), vectors, atol=1e-5)
    assert encoder.runner.batching.token_budget == 1024
    assert memory.shapes[:3] == [(128, 32), (64, 32), (32, 32)]  # 4096, 2048, 1024 tokens
    assert "out of memory with 4096 tokens per batch; continuing with half" in caplog.text


def test_memory_too_small_for_the_least_batch_is_an_error(tiny_model: Path) -> None:
    encoder = Encoder.load(tiny_model, COMPUTE)
    SmallMemory(encoder, 256)
    with pytest.raises(InputError, match="out of memory on cpu with 512 tokens per batch, the minimum; use a shorter"):
        encoder.encode_documents(TEXTS)


def test_equal_texts_are_encoded_once(encoder: Encoder, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenized: list[str] = []
    tokenize = encoder.tokenize
    monkeypatch.setattr(encoder, "tokenize", lambda inputs, role: tokenized.extend(inputs) or tokenize(inputs, role))
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
        match="queries: expected finite vectors, got one that is not finite for the text 'sum'; try dtype: float32",
    ):
        Encoder(model, read_encoding(tiny_model), COMPUTE).encode_queries(["sum"], [None])
    with pytest.raises(InputError, match="got one that is not finite for 'd7', which starts 'sum'; try dtype: float32"):
        Encoder(model, read_encoding(tiny_model), COMPUTE).encode_documents(["sum", "sum"], ids=["d7", "d8"])


def test_ids_are_as_many_as_texts(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="documents: expected an id for each of 2 texts, got 1"):
        encoder.encode_documents(["sum", "sum"], ids=["d7"])


def test_prefixes_are_saved_as_prompts(tiny_model: Path, tmp_path: Path) -> None:
    from retune.models.directory import save_model

    encoding = Encoding(
        **read_encoding(tiny_model).model_dump() | {"query_prefix": "path ", "document_prefix": "edge "}
    )
    save_model(load_model(tiny_model, "cpu"), encoding, tmp_path / "model")
    ours = Encoder.load(tmp_path / "model", COMPUTE)
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    np.testing.assert_allclose(ours.encode_queries(TEXTS, [None] * len(TEXTS)), theirs.encode_query(TEXTS), atol=1e-6)
    np.testing.assert_allclose(ours.encode_documents(TEXTS), theirs.encode_document(TEXTS), atol=1e-6)


def test_truncated_texts_are_counted_as_often_as_they_are_given(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "retune")
    encoder = with_encoding(tiny_model, document_max_length=6, query_max_length=6, query_suffix=" node")
    encoder.encode_documents(["sum " * 4, "sum " * 5, "sum " * 4, "sum " * 5])  # [CLS], [SEP] and 4 words are 6 tokens
    assert caplog.messages == ["documents: 2 of 4 texts cut to 6 tokens"]
    encoder.encode_queries(["sum " * 3, "sum " * 4], [None, None])  # the suffix takes one
    encoder.encode_documents(["sum " * 9])
    assert encoder.truncated == {"queries": 1, "documents": 3}


def test_count_of_truncated_texts_is_the_same_from_the_cache(tiny_model: Path, tmp_path: Path) -> None:
    compute = COMPUTE.model_copy(update={"cache": Cache(folder=tmp_path, max_gb=1.0)})
    texts = ["sum " * count for count in range(1, 60)]  # 48 tokens hold 46 words: 13 are cut
    counts = []
    for some in (texts[:50], texts, texts):  # cold, warm in part, warm
        encoder = Encoder.load(tiny_model, compute)
        encoder.encode_documents(some)
        counts.append(encoder.truncated["documents"])
    assert counts == [4, 13, 13]


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_text_without_words_is_encoded(encoder: Encoder, text: str) -> None:
    assert np.linalg.norm(encoder.encode_documents([text])) == pytest.approx(1.0)


def test_query_without_words_is_its_suffix(tiny_model: Path) -> None:
    encoder = with_encoding(tiny_model, query_suffix=" node")
    assert encoder.tokenizer.decode(encoder.tokenize_queries([""])[0]) == "[CLS] node [SEP]"


@pytest.fixture(scope="module")
def static_model() -> SentenceTransformer:
    """A static model of 16 random dimensions, whose unknown words have a vector of zeros."""
    vocab = {word: number for number, word in enumerate(["[UNK]", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(0).normal(size=(len(vocab), 16)).astype(np.float32)
    weights[0] = 0.0
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")


def test_static_model_gives_the_vectors_of_sentence_transformers(
    static_model: SentenceTransformer, encoding_values: dict[str, object]
) -> None:
    texts = [*TEXTS, "sum graph " * 700]  # far beyond any table of positions
    encoding = Encoding.model_validate(encoding_values | {"document_max_length": 2000, "dtype": "auto"})
    encoder = Encoder.snapshot(static_model, encoding, COMPUTE)
    vectors = encoder.encode_documents(texts)
    np.testing.assert_allclose(vectors, static_model.encode(texts, normalize_embeddings=True), atol=1e-6)
    np.testing.assert_array_equal(vectors[::-1], encoder.encode_documents(texts[::-1]))
    np.testing.assert_array_equal(vectors, np.concatenate([encoder.encode_documents([text]) for text in texts]))
    assert encoder.truncated["documents"] == 0


def test_static_model_cuts_at_the_maximum_length(
    static_model: SentenceTransformer, encoding_values: dict[str, object]
) -> None:
    encoding = Encoding.model_validate(encoding_values | {"document_max_length": 2})
    encoder = Encoder(static_model, encoding, COMPUTE)
    long, short = encoder.encode_documents(["sum graph node", "sum graph"])
    np.testing.assert_array_equal(long, short)
    assert encoder.truncated["documents"] == 1


@pytest.mark.parametrize("text", ["", "  ", "zebra quagga"])
def test_vector_without_direction_is_refused(
    text: str, static_model: SentenceTransformer, encoding_values: dict[str, object]
) -> None:
    encoder = Encoder(static_model, Encoding.model_validate(encoding_values), COMPUTE)
    with pytest.raises(
        InputError,
        match=f"documents: expected nonzero vectors, got zeros for 'd2', which starts '{text}': the model "
        "knows none of its words; remove the text",
    ):
        encoder.encode_documents(["sum", text], ids=["d1", "d2"])


@pytest.fixture(scope="module", params=["right", "left"])
def decoder(request: pytest.FixtureRequest, tiny_transformer: Path) -> SentenceTransformer:
    """A random Qwen3 of 2 layers with last-token pooling, whose tokenizer adds nothing and pads nothing."""
    plain = BertTokenizerFast.from_pretrained(tiny_transformer)
    plain.backend_tokenizer.post_processor = Sequence([])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain.backend_tokenizer, padding_side=request.param)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": len(tokenizer)}
    config = Qwen3Config(**sizes, num_attention_heads=2, num_key_value_heads=1, head_dim=16)
    with tempfile.TemporaryDirectory() as folder:
        Qwen3Model(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        transformer = Transformer(folder)
    return SentenceTransformer(modules=[transformer, Pooling(32, pooling_mode="lasttoken")], device="cpu")


def test_decoder_gives_the_vectors_of_sentence_transformers_in_any_company(
    decoder: SentenceTransformer, encoding_values: dict[str, object]
) -> None:
    encoder = Encoder(decoder, Encoding.model_validate(encoding_values), COMPUTE)
    vectors = encoder.encode_documents(TEXTS)
    decoder.tokenizer.pad_token = "[PAD]"  # without one sentence-transformers encodes nothing, not even alone
    alone = np.concatenate([decoder.encode([text], normalize_embeddings=True) for text in TEXTS])
    np.testing.assert_allclose(vectors, alone, atol=2e-6)
    np.testing.assert_array_equal(vectors[::-3], encoder.encode_documents(TEXTS[::-3]))
    with pytest.raises(InputError, match="got zeros for 'd', which starts ''"):
        encoder.encode_documents([""], ids=["d"])


def with_encoding(folder: Path, **changes: object) -> Encoder:
    encoding = Encoding(**read_encoding(folder).model_dump() | changes)
    return Encoder(load_model(folder, "cpu"), encoding, COMPUTE)
