"""Base models: what is taken, what is refused, what a directory holds afterwards."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding, Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from retune.core.errors import InputError
from retune.core.files import sha256
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.fetching import fetch as fetching
from retune.fetching import source
from retune.models.directory import is_cross_encoder, load_model, read_encoding
from retune.params.fetch import Fetch
from tests.support.cross_encoders import save_tiny_cross_encoder
from tests.support.repository import WORDS

WHERE = "params.yaml: fetch.tiny"


def fetch(values: dict, out: Path) -> None:
    fetching.fetch(Fetch.parse("fetch.tiny", values), out, where=WHERE)


@pytest.mark.slow
def test_default_model_is_the_known_one_and_a_standard_directory(default_params: dict, tmp_path: Path) -> None:
    values = default_params["defaults"]["fetch"] | default_params["fetch"]["minilm"]
    fetch(values, tmp_path / "model")
    assert sha256(source.package_folder(values["package"], WHERE) / "model.safetensors") == values["sha256"]
    model = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    assert [type(module).__name__ for module in model] == ["Transformer", "Pooling", "Normalize"]
    assert model.max_seq_length == max(values["query_max_length"], values["document_max_length"])
    # The example of the model's card: a sentence is closer to its paraphrase than to another.
    vectors = model.encode(["A man is eating food.", "A man eats something.", "A plane is taking off."])
    assert vectors[0] @ vectors[1] > 0.6 > 0.2 > vectors[0] @ vectors[2]


def test_pooling_is_written_for_a_folder_that_has_none(fetch_values: dict, tmp_path: Path) -> None:
    fetch(fetch_values | {"pooling": "cls"}, tmp_path / "model")
    pooling = json.loads((tmp_path / "model/1_Pooling/config.json").read_text())
    assert pooling["pooling_mode"] == "cls"
    assert read_encoding(tmp_path / "model").pooling == "cls"


def test_fetching_a_fetched_model_keeps_weights_tokens_and_settings(
    tiny_model: Path, fetch_values: dict, tmp_path: Path
) -> None:
    fetch(fetch_values | {"path": str(tiny_model)}, tmp_path / "model")
    for file in ("model.safetensors", "tokenizer.json", "modules.json", "1_Pooling/config.json", "retune.json"):
        assert (tmp_path / "model" / file).read_bytes() == (tiny_model / file).read_bytes(), file


def test_files_name_no_build_of_torch(tiny_model: Path) -> None:
    config = json.loads((tiny_model / "config_sentence_transformers.json").read_text())
    assert config["__version__"]["pytorch"] == torch.__version__.split("+")[0]


def test_hub_is_asked_for_a_pinned_revision_without_pickles_or_code(
    fetch_values: dict, tiny_transformer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def download(repo: str, **options: object) -> str:
        asked.update(options, repo=repo)
        return str(tiny_transformer)

    monkeypatch.setattr(source, "snapshot_download", download)
    values = {name: value for name, value in fetch_values.items() if name != "path"}
    fetch(values | {"source": "hub", "sha256": None, "repo": "owner/name", "revision": "a" * 40}, tmp_path / "model")
    assert asked["repo"] == "owner/name"
    assert asked["revision"] == "a" * 40
    assert not [pattern for pattern in asked["allow_patterns"] if pattern.endswith((".bin", ".py", ".pt", ".pkl", "*"))]


def test_hub_that_cannot_be_reached_is_one_line(
    fetch_values: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(repo: str, **options: object) -> str:
        raise OSError("no route\nto host")

    monkeypatch.setattr(source, "snapshot_download", fail)
    values = {name: value for name, value in fetch_values.items() if name != "path"}
    with pytest.raises(InputError, match=r"owner/name at b{40} could not be downloaded: no route$"):
        fetch(
            values | {"source": "hub", "sha256": None, "repo": "owner/name", "revision": "b" * 40}, tmp_path / "model"
        )


def broken(tiny_transformer: Path, tmp_path: Path, *, remove: str) -> Path:
    shutil.copytree(tiny_transformer, tmp_path)
    (tmp_path / remove).unlink()
    return tmp_path


def test_wrong_models_are_refused_and_nothing_is_written(
    fetch_values: dict, tiny_transformer: Path, tiny_model: Path, tmp_path: Path
) -> None:
    no_weights = broken(tiny_transformer, tmp_path / "a", remove="model.safetensors")
    no_tokenizer = broken(tiny_transformer, tmp_path / "b", remove="tokenizer.json")
    half = broken(tiny_transformer, tmp_path / "c", remove="model.safetensors")
    weights = load_file(tiny_transformer / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "layer.1." not in name}
    save_file(kept, half / "model.safetensors", metadata={"format": "pt"})
    cut = broken(tiny_transformer, tmp_path / "d", remove="model.safetensors")
    (cut / "model.safetensors").write_bytes((tiny_transformer / "model.safetensors").read_bytes()[:999])
    cases = [
        ({"sha256": "0" * 64}, r"fetch.tiny.sha256: expected 0{64}, got [0-9a-f]{64} from .*model.safetensors"),
        (
            {"pooling": "as_saved"},
            r"fetch.tiny.pooling: expected mean, cls or lasttoken, as .* has no pooling config \(modules.json\), got",
        ),
        (
            {"path": str(tiny_model), "pooling": "cls"},
            "fetch.tiny.pooling: expected 'mean', as configured in .*, got 'cls'",
        ),
        ({"path": str(no_weights)}, r"expected weights as \*.safetensors in .*, found none"),
        ({"path": str(no_tokenizer)}, r"expected a tokenizer in .*tokenizer.json.*, found none"),
        (
            {"path": str(half), "sha256": sha256(half / "model.safetensors")},
            r"expected all weights in .*, got \d+ missing, first: encoder.layer.1",
        ),
        ({"path": str(cut), "sha256": sha256(cut / "model.safetensors")}, "cannot be loaded as a model: "),
        ({"path": "nowhere"}, "fetch.tiny.path: expected a model folder with config.json, got 'nowhere'"),
        (
            {"document_max_length": 65},
            "fetch.tiny.document_max_length: expected at most the model's 64 positions, got 65",
        ),
        ({"query_max_length": 3, "query_suffix": " node"}, "fetch.tiny.query_max_length: expected at least 4 tokens"),
    ]
    for changes, message in cases:
        with pytest.raises(InputError, match=message):
            fetch(fetch_values | changes, tmp_path / "out" / "model")
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("no_such_package", "expected an installed package, got 'no_such_package'"),
        ("json", "expected one model.safetensors in 'json', got 0"),
        ("../models", "expected an installed package, got '../models'"),
    ],
)
def test_package_without_a_model_is_refused(package: str, message: str, fetch_values: dict, tmp_path: Path) -> None:
    values = {name: value for name, value in fetch_values.items() if name != "path"}
    with pytest.raises(InputError, match=message):
        fetch(values | {"source": "package", "package": package}, tmp_path / "model")


def test_directory_without_settings_is_refused(tiny_transformer: Path) -> None:
    with pytest.raises(InputError, match=r"retune.json: expected a model written by fetch or finetune"):
        read_encoding(tiny_transformer)


@pytest.mark.network
def test_hub_model_downloads(fetch_values: dict, tmp_path: Path) -> None:
    values = {name: value for name, value in fetch_values.items() if name != "path"}
    repo, revision = "sentence-transformers/all-MiniLM-L6-v2", "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
    fetch(
        values | {"source": "hub", "sha256": None, "repo": repo, "revision": revision, "pooling": "as_saved"},
        tmp_path / "model",
    )
    assert (tmp_path / "model/model.safetensors").is_file()


def cross_encoder_values(fetch_values: dict, folder: Path) -> dict:
    """A `fetch` entry that takes a tiny cross-encoder."""
    own = {"path": str(folder), "sha256": sha256(folder / "model.safetensors"), "pooling": "as_saved"}
    return fetch_values | own | {"document_max_length": 32, "query_prefix": "read "}


def test_cross_encoder_is_a_standard_directory_with_the_same_bytes_each_time(
    fetch_values: dict, tiny_transformer: Path, tmp_path: Path
) -> None:
    raw = save_tiny_cross_encoder(tiny_transformer, tmp_path / "raw", activation="torch.nn.modules.linear.Identity")
    values = cross_encoder_values(fetch_values, raw)
    first, again, fetched = (tmp_path / name / "model" for name in "abc")
    fetch(values, first)
    fetch(values, again)
    fetch(values | {"path": str(first)}, fetched)  # a model already fetched
    names = sorted(path.name for path in first.iterdir())
    assert {"config.json", "model.safetensors", "modules.json", "retune.json", "tokenizer.json"} <= set(names)
    for name in names:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
        assert (first / name).read_bytes() == (fetched / name).read_bytes(), name
    assert read_encoding(first).pooling == "as_saved"
    assert torch.__version__.split("+")[0] == pytorch_version(first)
    pairs = [("sum of", "array"), ("prime", "factor integer")]
    theirs = CrossEncoder(str(raw), device="cpu").predict([(f"read {query}", text) for query, text in pairs])
    model = CrossEncoder(str(first), device="cpu", local_files_only=True)
    assert model.max_seq_length == 64
    assert model.predict(pairs).tolist() == theirs.tolist()


def pytorch_version(folder: Path) -> str:
    return json.loads((folder / "config_sentence_transformers.json").read_text())["__version__"]["pytorch"]


def test_files_tell_a_cross_encoder(tiny_transformer: Path, tiny_model: Path, tmp_path: Path) -> None:
    raw = save_tiny_cross_encoder(tiny_transformer, tmp_path / "raw")
    CrossEncoder(str(raw), device="cpu").save_pretrained(str(tmp_path / "saved"))
    modules = [Transformer(str(raw)), Pooling(32)]  # an embedding model made of a cross-encoder
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(tmp_path / "embedder"))
    shutil.copy(raw / "config.json", tmp_path / "embedder")
    found = [raw, tmp_path / "saved", tmp_path / "embedder", tiny_transformer, tiny_model]
    assert [is_cross_encoder(folder) for folder in found] == [True, True, False, False, False]


def test_cross_encoder_that_cannot_score_pairs_is_refused(
    fetch_values: dict, tiny_transformer: Path, tmp_path: Path
) -> None:
    raw = save_tiny_cross_encoder(tiny_transformer, tmp_path / "raw")
    values = cross_encoder_values(fetch_values, raw)
    three = save_tiny_cross_encoder(tiny_transformer, tmp_path / "three", num_labels=3)
    chat = save_tiny_cross_encoder(tiny_transformer, tmp_path / "chat")
    (chat / "chat_template.jinja").write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    headless = broken(raw, tmp_path / "headless", remove="model.safetensors")
    weights = load_file(raw / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("classifier.")}
    save_file(kept, headless / "model.safetensors", metadata={"format": "pt"})
    cases = [
        ({"pooling": "mean"}, "fetch.tiny.pooling: expected 'as_saved', as .*raw is a cross-encoder, got 'mean'"),
        ({"query_suffix": "!"}, "fetch.tiny.query_suffix: expected '', as .*raw is a cross-encoder, got '!'"),
        (cross_encoder_values({}, three), "fetch.tiny: expected a cross-encoder with one label, got 3 in .*three"),
        (cross_encoder_values({}, chat), "expected a cross-encoder that reads a pair of texts, got one that answers p"),
        (cross_encoder_values({}, headless), "got 2 missing, first: classifier.bias"),
        ({"document_max_length": 33}, "fetch.tiny: expected .* to add up to at most 64, .*, got 32 [+] 33"),
    ]
    for changes, message in cases:
        with pytest.raises(InputError, match=message):
            fetch(values | changes, tmp_path / "out" / "model")
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_cross_encoder_is_no_embedding_model(fetch_values: dict, tiny_transformer: Path, tmp_path: Path) -> None:
    raw = save_tiny_cross_encoder(tiny_transformer, tmp_path / "raw")
    fetch(cross_encoder_values(fetch_values, raw), tmp_path / "scorer")
    message = r"scorer: expected an embedding model, got a cross-encoder; name it as mine.<name>.scorer or rerank.<name>.reranker$"
    with pytest.raises(InputError, match=message):
        load_model(tmp_path / "scorer", "cpu")


@pytest.mark.parametrize(("text", "message"), [("{", "expected JSON, got: "), ("[]", "expected an object, got list")])
def test_damaged_configuration_is_one_line(
    text: str, message: str, fetch_values: dict, tiny_transformer: Path, tmp_path: Path
) -> None:
    raw = save_tiny_cross_encoder(tiny_transformer, tmp_path / "raw")
    (raw / "config.json").write_text(text)
    with pytest.raises(InputError, match=f"config.json: {message}"):
        fetch(cross_encoder_values(fetch_values, raw), tmp_path / "model")


@pytest.fixture
def static_folder(tmp_path: Path) -> Path:
    vocab = {word: number for number, word in enumerate(["[UNK]", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(0).normal(size=(len(vocab), 16)).astype(np.float32)
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")
    model.save_pretrained(str(tmp_path / "static"), create_model_card=False)
    return tmp_path / "static"


@pytest.mark.parametrize("is_nested", [False, True])  # older sentence-transformers gave the module a folder
def test_static_model_is_fetched_and_encodes(
    is_nested: bool, static_folder: Path, fetch_values: dict, tmp_path: Path
) -> None:
    if is_nested:
        (static_folder / "0_Static").mkdir()
        for name in ("model.safetensors", "tokenizer.json"):
            (static_folder / name).rename(static_folder / "0_Static" / name)
        modules = json.loads((static_folder / "modules.json").read_text())
        modules[0]["path"] = "0_Static"
        (static_folder / "modules.json").write_text(json.dumps(modules))
    values = fetch_values | {"pooling": "as_saved", "dtype": "auto"}
    weights = sha256(next(static_folder.rglob("*.safetensors")))
    fetch(values | {"path": str(static_folder), "sha256": weights}, tmp_path / "one")
    fetch(values | {"path": str(tmp_path / "one"), "sha256": weights}, tmp_path / "two")
    compute = Compute.parse("compute", {"device": "cpu", "token_budget": 512})
    texts = [" ".join(WORDS[:4]), WORDS[2]]
    expected = SentenceTransformer(str(static_folder), device="cpu").encode(texts, normalize_embeddings=True)
    for folder in (tmp_path / "one", tmp_path / "two"):
        vectors = Encoder.load(folder, compute).encode_documents(texts)
        np.testing.assert_allclose(vectors, expected, atol=1e-6)
    for file in ("model.safetensors", "tokenizer.json", "retune.json", "modules.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_static_model_has_no_pooling_to_choose(static_folder: Path, fetch_values: dict, tmp_path: Path) -> None:
    weights = sha256(static_folder / "model.safetensors")
    with pytest.raises(
        InputError, match="fetch.tiny.pooling: expected None, as configured in .*, got 'mean'; write as_saved"
    ):
        fetch(fetch_values | {"path": str(static_folder), "pooling": "mean", "sha256": weights}, tmp_path / "out")
