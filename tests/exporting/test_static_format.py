"""Static models distilled from random transformers, beside the vectors of single tokens as torch computes them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from retune.core.errors import InputError
from retune.encoding.encoder import Encoder
from retune.exporting import onnx_format, static_format
from retune.models.directory import read_encoding, save_model
from tests.exporting.test_export import KINDS, TEXTS, Exporting, dataset, split  # noqa: F401 # a fixture
from tests.support.encoders import SIZES, random_encoder
from tests.support.parameters import COMPUTE
from tests.support.repository import WORDS

pytestmark = pytest.mark.usefixtures("forks")
STATIC: dict[str, Any] = {"format": "static", "dtype": "float32", "parity": None}
SIF = 1e-4
SIZE = {"vocab_size": 128}  # more than the tokenizer has, as of many models


def needs_model2vec() -> None:
    for package in static_format.PACKAGES:
        pytest.importorskip(package, reason="static models need requirements-export.txt")


@pytest.fixture
def project(tmp_path: Path, tiny_model: Path, dataset: Path) -> Exporting:  # noqa: F811
    needs_model2vec()
    return Exporting(tmp_path, tiny_model, dataset)


def use(project: Exporting, model: SentenceTransformer, tiny_model: Path, **changed: Any) -> None:
    """Let a model, read as the tiny one is, take the place of the tiny model."""
    project.model = project.folder / "model"
    save_model(model, read_encoding(tiny_model).model_copy(update=changed), project.model)
    shutil.copy(tiny_model / "provenance.json", project.model)


def table(folder: Path) -> dict[str, np.ndarray]:
    """Return the vector of each token of a static model, in the order of its vocabulary."""
    module = SentenceTransformer(str(folder), device="cpu")[0]
    weights = module.embedding.weight.detach().numpy()
    vocabulary = module.tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(len(weights)))
    return {token: weights[vocabulary[token]] for token in sorted(vocabulary, key=vocabulary.get)}


@torch.inference_mode()
def token_vectors(model: SentenceTransformer, tokens: list[str]) -> np.ndarray:
    """Return the pooled vector of each token between the special tokens of its model."""
    tokenizer, transformer, pooling = model.tokenizer, model[0].auto_model.eval(), model[1]
    special = tokenizer("")["input_ids"]
    first, last = special[:-1], special[-1:]
    rows = []
    for token in tokens:
        ids = torch.tensor([[*first, tokenizer.convert_tokens_to_ids(token), *last]])
        hidden = transformer(input_ids=ids).last_hidden_state
        pooled = pooling({"token_embeddings": hidden, "attention_mask": torch.ones_like(ids)})
        rows.append(pooled["sentence_embedding"][0].numpy())
    return np.stack(rows).astype(np.float64)


def expected_products(vectors: np.ndarray) -> np.ndarray:
    """Return the inner products of tokens in the order of the vocabulary; rotating them all changes none."""
    share = 1 / np.arange(2, len(vectors) + 2)
    weights = SIF / (SIF + share / share.sum())
    weighted = (vectors - vectors.mean(axis=0)) * weights[:, None]
    return weighted @ weighted.T


def check_vectors(project: Exporting) -> None:
    """Check the vector of each token by its inner products with the others."""
    found = table(project.out)
    vectors = np.stack(list(found.values()))
    expected = expected_products(token_vectors(SentenceTransformer(str(project.model), device="cpu"), list(found)))
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("kind", onnx_format.ARCHITECTURES)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vector_of_a_token_is_the_transformer_s_rotated_and_weighted(
    pooling: str, kind: str, project: Exporting, tiny_model: Path
) -> None:
    model = random_encoder(kind, tiny_model, project.folder / "plain", pooling, **SIZE | KINDS.get(kind, {}))
    use(project, model, tiny_model)
    measured = project.run(**STATIC)
    assert (measured["cosine"], measured["limits"], measured["dims"]) == (None, {"max_mb": None}, 32)
    found = table(project.out)
    assert "the" in found
    assert "[CLS]" not in found
    check_vectors(project)


def saved(tokenizer: Tokenizer, kind: str, folder: Path, pooling: str) -> SentenceTransformer:
    """Return a random transformer with a tokenizer of its own."""
    numbers = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    single = "$A </s>" if pooling == "lasttoken" else "<s> $A </s>"
    tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=numbers)
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **special)
    sizes = SIZES | {"num_key_value_heads": 1, "head_dim": 16, "vocab_size": len(whole)}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **sizes, pad_token_id=whole.pad_token_id)
    AutoModel.from_config(config).save_pretrained(folder)
    whole.save_pretrained(folder)
    return SentenceTransformer(modules=[Transformer(str(folder)), Pooling(32, pooling)], device="cpu")


def unigram() -> Tokenizer:
    """Return a tokenizer as XLM-R and multilingual E5 have one."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *(f"▁{word}" for word in WORDS), "▁", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(rank)) for rank, piece in enumerate(pieces)], unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def bpe() -> Tokenizer:
    """Return a tokenizer as RoBERTa has one."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *letters, "th", "the", "Ġthe", "so", "Ġso"]
    tokenizer = Tokenizer(
        models.BPE(
            {token: number for number, token in enumerate(vocabulary)},
            [("t", "h"), ("th", "e"), ("Ġ", "the"), ("s", "o"), ("Ġ", "so")],
            unk_token="<unk>",
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "kind", "pooling", "token"),
    [
        (unigram, "xlm-roberta", "mean", "▁array"),
        (bpe, "roberta", "mean", "Ġthe"),
        (bpe, "qwen2", "lasttoken", "Ġthe"),
    ],
    ids=["unigram", "bpe", "decoder"],
)
def test_vocabularies_of_other_kinds_are_distilled(
    make: Callable[[], Tokenizer], kind: str, pooling: str, token: str, project: Exporting, tiny_model: Path
) -> None:
    use(project, saved(make(), kind, project.folder / "plain", pooling), tiny_model)
    project.run(**STATIC)
    assert token in table(project.out)
    check_vectors(project)


def test_tokenizer_with_tokens_that_the_model_does_not_know_is_refused(project: Exporting, tiny_model: Path) -> None:
    use(project, random_encoder("bert", tiny_model, project.folder / "plain"), tiny_model)  # of 96 tokens
    line = (
        "expected a model that knows all 10[0-9] tokens of its tokenizer, got one of 96 tokens; use format: safetensors"
    )
    with pytest.raises(InputError, match=line):
        project.run(**STATIC)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_static_model_loads_in_sentence_transformers_and_gives_the_same_vectors(dtype: str, project: Exporting) -> None:
    measured = project.run(**STATIC | {"dtype": dtype})
    assert measured["format"] == "static"
    assert 30 * 32 < measured["parameters"] <= 4096
    vectors = project.vectors()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-3)
    theirs = SentenceTransformer(str(project.out), device="cpu").encode_document(TEXTS, convert_to_tensor=True)
    np.testing.assert_allclose(theirs.float().numpy(), vectors, atol={"float32": 1e-6}.get(dtype, 2e-2))
    assert Encoder.load(project.out, COMPUTE, dtype="float32").dtype == getattr(torch, dtype)
    card = (project.out / "model-card.md").read_text()
    assert "`tiny` as static" in card
    assert "vectors in a space of their own, which are not compared with those of `tiny`" in card


def test_fewer_dimensions_are_the_first_principal_components(project: Exporting) -> None:
    project.run(**STATIC)
    whole = table(project.out)
    project.run(**STATIC | {"dims": 8})
    assert all(np.allclose(vector, whole[token][:8], atol=1e-6) for token, vector in table(project.out).items())


def test_same_inputs_give_the_same_bytes(project: Exporting) -> None:
    written = []
    for _ in range(2):
        project.run(**STATIC)
        written.append({path.name: path.read_bytes() for path in project.out.rglob("*") if path.is_file()})
    assert written[0] == written[1]


def test_prefixes_are_left_out_because_they_would_move_all_texts_alike(project: Exporting, tiny_model: Path) -> None:
    model = SentenceTransformer(str(tiny_model), device="cpu")
    use(project, model, tiny_model, query_prefix="read ", document_prefix="file ")
    project.run(**STATIC)
    encoding = read_encoding(project.out)
    assert (encoding.query_prefix, encoding.document_prefix) == ("", "")
    assert SentenceTransformer(str(project.out), device="cpu").prompts == {"query": "", "document": ""}


def test_lower_case_that_only_sentence_transformers_asks_for_is_kept(project: Exporting, tiny_model: Path) -> None:
    model = SentenceTransformer(str(tiny_model), device="cpu")
    model.tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([])
    model[0].do_lower_case = True
    use(project, model, tiny_model)
    project.run(**STATIC)
    upper, lower = Encoder.load(project.out, COMPUTE).encode_documents(["SORT THE ARRAY", "sort the array"])
    np.testing.assert_array_equal(upper, lower)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"dims": 33}, "export.exported.dims: expected at most the model's 32 dimensions, got 33; lower it"),
        ({"max_mb": 0.001}, r"export.exported.max_mb: expected at most 0.001 MB, got [\d.]+ MB"),
    ],
)
def test_broken_limit_is_named_and_leaves_nothing(changed: dict[str, Any], line: str, project: Exporting) -> None:
    with pytest.raises(InputError, match=line):
        project.run(**STATIC | changed)
    assert list(project.folder.iterdir()) == []


def test_model_that_cannot_be_distilled_is_refused(project: Exporting, tiny_model: Path) -> None:
    tokenizer = SentenceTransformer(str(tiny_model), device="cpu").tokenizer
    use(project, SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=4)], device="cpu"), tiny_model)
    with pytest.raises(
        InputError, match="model: expected a transformer with the pooling mean, cls, lasttoken, got a sta"
    ):
        project.run(**STATIC)
    use(project, random_encoder("bert", tiny_model, project.folder / "plain", "max"), tiny_model)
    with pytest.raises(InputError, match="got max; use format: safetensors"):
        project.run(**STATIC)
    assert not project.out.exists()


@pytest.mark.parametrize("package", static_format.PACKAGES)
def test_missing_package_is_named_with_the_command_that_installs_it(
    package: str,
    tmp_path: Path,
    tiny_model: Path,
    dataset: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(static_format.importlib.util, "find_spec", lambda name: None if name == package else name)
    with pytest.raises(
        InputError, match=f"static: expected the package {package}, found none; run .venv/bin/python -m"
    ):
        Exporting(tmp_path, tiny_model, dataset).run(**STATIC)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"format": "static", "dtype": "float32"}, "parity: expected null with format static"),
        ({"parity": None}, "parity: expected limits with format safetensors, got null; remove it or write them"),
        (
            STATIC | {"dtype": "int8"},
            "dtype: expected one of float32, float16, bfloat16 with format static, got 'int8'",
        ),
    ],
)
def test_parity_is_null_of_a_static_model_alone(
    changed: dict[str, Any],
    line: str,
    tmp_path: Path,
    tiny_model: Path,
    dataset: Path,  # noqa: F811
) -> None:
    with pytest.raises(InputError, match=line):
        Exporting(tmp_path, tiny_model, dataset).run(**changed)
