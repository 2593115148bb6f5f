"""Model folders of every layout: loaded with the vectors of plain sentence-transformers, or refused in one line."""

import json
import logging
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling, Transformer
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration

from retune.core.errors import InputError
from retune.core.files import sha256
from retune.core.provenance import read_origins
from retune.encoding.encoder import Encoder
from retune.fetching import fetch as fetching
from retune.models.directory import read_encoding
from retune.params.fetch import Fetch
from tests.support.decoders import save_decoder
from tests.support.parameters import COMPUTE
from tests.support.repository import REPOSITORY, run

WHERE = "params.yaml: fetch.tiny"
TEXTS = ["sum of the array", "read a file and sort the matrix", "prime"]
Change = Callable[[Path], None]


@pytest.fixture
def source(tiny_transformer: Path, tmp_path: Path) -> Path:
    """A saved model of a transformer, mean pooling and a linear layer."""
    return save(tiny_transformer, tmp_path / "source", "mean")


def save(transformer: Path, folder: Path, pooling: str | tuple[str, ...], dim: int = 32) -> Path:
    torch.manual_seed(0)
    pooled = Pooling(dim, pooling)
    modules = [Transformer(str(transformer)), pooled, Dense(pooled.get_embedding_dimension(), 16)]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


def values(fetch_values: dict, folder: Path, **changes: object) -> dict:
    weights = next(path for path in sorted(folder.rglob("model.safetensors")) if "Dense" not in path.parent.name)
    return fetch_values | {"path": str(folder), "sha256": sha256(weights), "pooling": "as_saved"} | changes


def fetch(entry: dict, out: Path) -> None:
    fetching.fetch(Fetch.parse("fetch.tiny", entry), out, where=WHERE)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def plain(folder: Path, prefix: str = "") -> np.ndarray:
    """Return the unit vectors of plain sentence-transformers for a model as its authors saved it."""
    model = SentenceTransformer(str(folder), device="cpu")
    return model.encode(TEXTS, prompt=prefix, normalize_embeddings=True)


def ours(folder: Path) -> np.ndarray:
    return Encoder.load(folder, COMPUTE).encode_queries(TEXTS, [None] * len(TEXTS))


@pytest.mark.parametrize(
    "pooling",
    [
        "cls",
        "max",
        "mean",
        "mean_sqrt_len_tokens",
        "weightedmean",
        "lasttoken",
        ("cls", "mean"),
        ("max", "weightedmean"),
    ],
)
def test_saved_pooling_is_kept(
    pooling: str | tuple[str, ...], tiny_transformer: Path, fetch_values: dict, tmp_path: Path
) -> None:
    folder = save(tiny_transformer, tmp_path / "source", pooling)
    fetch(values(fetch_values, folder, query_prefix="read "), tmp_path / "model")
    written = json.loads((tmp_path / "model/1_Pooling/config.json").read_text())["pooling_mode"]
    assert written == (pooling if isinstance(pooling, str) else list(pooling))
    np.testing.assert_allclose(ours(tmp_path / "model"), plain(folder, "read "), atol=1e-5)
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu").encode_query(TEXTS)
    np.testing.assert_allclose(ours(tmp_path / "model"), theirs, atol=1e-5)
    fetch(values(fetch_values, tmp_path / "model", query_prefix="read "), tmp_path / "again")
    assert read_encoding(tmp_path / "again") == read_encoding(tmp_path / "model")


def test_pooling_config_of_older_versions_is_kept(source: Path, fetch_values: dict, tmp_path: Path) -> None:
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    config = {"word_embedding_dimension": 32} | {f"pooling_mode_{mode}": mode == "max_tokens" for mode in modes}
    (source / "1_Pooling/config.json").write_text(json.dumps(config))
    fetch(values(fetch_values, source), tmp_path / "model")
    np.testing.assert_allclose(ours(tmp_path / "model"), plain(source), atol=1e-5)


def test_weights_in_a_folder_of_the_first_module(source: Path, fetch_values: dict, tmp_path: Path) -> None:
    expected = plain(source)
    (source / "0_Transformer").mkdir()
    for name in (
        "config.json",
        "model.safetensors",
        "sentence_bert_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ):
        (source / name).rename(source / "0_Transformer" / name)
    modules = json.loads((source / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (source / "modules.json").write_text(json.dumps(modules))
    fetch(values(fetch_values, source), tmp_path / "model")
    np.testing.assert_allclose(ours(tmp_path / "model"), expected, atol=1e-5)


@pytest.mark.parametrize("kind", [T5EncoderModel, T5ForConditionalGeneration])
def test_t5_encoder(kind: type, tiny_transformer: Path, fetch_values: dict, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(tiny_transformer, raw, ignore=shutil.ignore_patterns("config.json", "*.safetensors"))
    torch.manual_seed(0)
    sizes = {"vocab_size": 160, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
    kind(T5Config(**sizes, decoder_start_token_id=0)).save_pretrained(raw)
    folder = save(raw, tmp_path / "source", "mean")
    if kind is T5ForConditionalGeneration:  # the whole model, as some repositories have it
        for name in ("config.json", "model.safetensors"):
            shutil.copy(raw / name, folder / name)
    fetch(values(fetch_values, folder), tmp_path / "model")
    np.testing.assert_allclose(ours(tmp_path / "model"), plain(folder), atol=1e-5)
    fetch(values(fetch_values, raw, pooling="mean"), tmp_path / "pooled")
    assert ours(tmp_path / "pooled").shape == (len(TEXTS), 32)


def test_pooling_that_leaves_prompts_out(source: Path, fetch_values: dict, tmp_path: Path) -> None:
    edit(source / "1_Pooling/config.json", include_prompt=False)
    for name in ("query_prefix", "document_prefix"):
        message = rf"^{WHERE}.{name}: expected none, as .* \(include_prompt: false\), got 'read '; remove it, or use"
        with pytest.raises(InputError, match=message):
            fetch(values(fetch_values, source, **{name: "read "}), tmp_path / "model")
    fetch(values(fetch_values, source), tmp_path / "model")
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu").encode_query(TEXTS)
    np.testing.assert_allclose(ours(tmp_path / "model"), theirs, atol=1e-5)


@pytest.mark.parametrize("similarity", ["dot", "euclidean", "manhattan"])
def test_other_similarity_is_said(
    similarity: str, source: Path, fetch_values: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edit(source / "config_sentence_transformers.json", similarity_fn_name=similarity)
    fetch(values(fetch_values, source), tmp_path / "model")
    line = f"ranked by cosine here, not by {similarity} as its configuration says"
    assert f"{WHERE}: {line}" in caplog.text
    assert read_origins(tmp_path / "model")[0].source == f"{source}; {line}"  # the cards show it
    assert SentenceTransformer(str(tmp_path / "model"), device="cpu").similarity_fn_name == "cosine"


def test_saved_prompts_that_are_not_used_are_said(
    source: Path, fetch_values: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompts = {"s2p_query": "find: ", "document": "passage: "}
    edit(source / "config_sentence_transformers.json", prompts=prompts, default_prompt_name="s2p_query")
    fetch(values(fetch_values, source, query_prefix="find: "), tmp_path / "model")
    assert f"{WHERE}: saved prompts are not used: document 'passage: '; write one as query_prefix" in caplog.text
    assert "s2p_query" not in caplog.text
    model = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    assert (model.prompts, model.default_prompt_name) == ({"query": "find: ", "document": ""}, None)
    caplog.clear()
    fetch(values(fetch_values, source, query_prefix="find: ", document_prefix="passage: "), tmp_path / "both")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_saved_truncation_is_said(
    source: Path, fetch_values: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edit(source / "config_sentence_transformers.json", truncate_dim=8)
    fetch(values(fetch_values, source), tmp_path / "model")
    assert (
        "all dimensions are used here, not 8 as its configuration says; eval.dims measures cut vectors" in caplog.text
    )
    assert ours(tmp_path / "model").shape == (len(TEXTS), 16)


def pickle_of_dense(folder: Path) -> None:
    torch.save(load_file(folder / "2_Dense/model.safetensors"), folder / "2_Dense/pytorch_model.bin")
    (folder / "2_Dense/model.safetensors").unlink()


def first_module_of_kind(kind: str) -> Change:
    def change(folder: Path) -> None:
        modules = json.loads((folder / "modules.json").read_text())
        modules[0]["type"] = f"sentence_transformers.models.{kind}"
        (folder / "modules.json").write_text(json.dumps(modules))

    return change


def later_module_of_kind(kind: str) -> Change:
    def change(folder: Path) -> None:
        modules = json.loads((folder / "modules.json").read_text())
        modules[2]["type"] = f"sentence_transformers.models.{kind}"
        (folder / "modules.json").write_text(json.dumps(modules))

    return change


def unknown_module(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[2]["type"] = "their_code.Head"
    (folder / "modules.json").write_text(json.dumps(modules))


def cut_pooling(folder: Path) -> None:
    """Leave out the linear layer, and give the pooling the wrong dimensions."""
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:2]))
    edit(folder / "1_Pooling/config.json", embedding_dimension=16)


def card(folder: Path, licence: str) -> None:
    (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n")


def lower_case(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", do_lower_case=False)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


REFUSED: list[tuple[str, Change, str]] = [
    (
        "pickle of Dense",
        pickle_of_dense,
        r"expected weights as \*.safetensors in .*2_Dense, got the pickle pytorch_model",
    ),
    (
        "activation",
        lambda folder: edit(folder / "2_Dense/config.json", activation_function="their_code.Swish"),
        "expected an activation function of torch in .*2_Dense/config.json, got their_code.Swish, whose code is not run",
    ),
    (
        "no pooling config",
        lambda folder: (folder / "1_Pooling/config.json").unlink(),
        "expected a pooling config in .*1_P",
    ),
    (
        "unknown pooling",
        lambda folder: edit(folder / "1_Pooling/config.json", pooling_mode="median"),
        "cannot be loaded as a model: Invalid pooling mode: 'median'",
    ),
    ("words", first_module_of_kind("BoW"), "expected a first module Transformer or StaticEmbedding in .*, got BoW"),
    ("router", first_module_of_kind("Router"), "expected a first module Transformer or .*, got Router"),
    ("foreign code", unknown_module, "expected modules of Pooling, Dense, .* in .*, got Head"),
    ("CNN", later_module_of_kind("CNN"), "expected modules of Pooling, Dense, .* in .*, got CNN"),
    (
        "sparse",
        lambda folder: edit(folder / "config_sentence_transformers.json", model_type="SparseEncoder"),
        "expected an embedding model or a cross-encoder, got a SparseEncoder in ",
    ),
    (
        "weights of another size",
        lambda folder: edit(folder / "2_Dense/config.json", out_features=8),
        "cannot be loaded as a model: Error.* in loading state_dict for Dense",
    ),
    (
        "other dimensions",
        cut_pooling,
        "expected vectors of 16 dimensions, as the configuration of the model says, got 32",
    ),
    ("card", lambda folder: card(folder, "{{x"), "README.md: expected YAML between the lines ---, got: while parsing"),
    (
        "no list of modules",
        lambda folder: (folder / "modules.json").write_text("{}"),
        "modules.json: expected a list of modules",
    ),
    (
        "default prompt",
        lambda folder: edit(folder / "config_sentence_transformers.json", default_prompt_name="gone"),
        "cannot be loaded as a model: Default prompt name 'gone' not found",
    ),
]


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_model_that_cannot_be_used_is_refused_in_one_line(
    change: Change, message: str, source: Path, fetch_values: dict, tmp_path: Path
) -> None:
    entry = values(fetch_values, source)
    change(source)
    with pytest.raises(InputError, match=message) as caught:
        fetch(entry, tmp_path / "out/model")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_lower_case_of_the_first_module_is_kept(
    source: Path, fetch_values: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower_case(source)
    edit(source / "sentence_bert_config.json", do_lower_case=True)
    fetch(values(fetch_values, source), tmp_path / "model")
    fetch(values(fetch_values, tmp_path / "model"), tmp_path / "again")
    monkeypatch.setitem(globals(), "TEXTS", ["SUM of the Array", "read A File", "prime"])
    for name in ("model", "again"):
        np.testing.assert_allclose(ours(tmp_path / name), plain(source), atol=1e-5)


@pytest.mark.parametrize("module", [LayerNorm(32), Dropout(0.5)], ids=repr)
def test_other_modules_are_kept(
    module: torch.nn.Module, tiny_transformer: Path, fetch_values: dict, tmp_path: Path
) -> None:
    modules = [Transformer(str(tiny_transformer)), Pooling(32), module]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(
        str(tmp_path / "source"), create_model_card=False
    )
    weights = sha256(tmp_path / "source/model.safetensors")
    fetch(values(fetch_values, tmp_path / "source", sha256=weights), tmp_path / "model")
    np.testing.assert_allclose(ours(tmp_path / "model"), plain(tmp_path / "source"), atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean_sqrt_len_tokens", ("mean", "lasttoken")])
def test_decoder_refuses_every_pooling_with_tokens_that_have_not_seen_the_text(
    pooling: str | tuple[str, ...], tiny_transformer: Path, fetch_values: dict, tmp_path: Path
) -> None:
    save_decoder("qwen2", tiny_transformer, tmp_path / "decoder")
    folder = save(tmp_path / "decoder", tmp_path / "source", pooling)
    with pytest.raises(InputError, match="fetch.tiny.pooling: expected lasttoken, as a decoder's token sees only"):
        fetch(values(fetch_values, folder), tmp_path / "model")


@pytest.mark.parametrize(
    ("ending", "reads"),
    [
        (None, "the text's own last token; none is added"),
        ("$A:0 [SEP]:0", "[SEP], which ends each text"),
        ("$A:0 [CLS]:0", "[CLS], which ends each text"),
    ],
)
def test_log_says_which_token_last_token_pooling_reads(
    ending: str | None, reads: str, tiny_transformer: Path, fetch_values: dict, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    folder = decoder(tiny_transformer, tmp_path, ending)
    with caplog.at_level("INFO"):
        fetch(values(fetch_values, folder, pooling="lasttoken"), tmp_path / "model")
    assert f"last-token pooling reads {reads}" in caplog.text


def test_decoder_without_the_ending_that_its_config_names_is_refused(
    tiny_transformer: Path, fetch_values: dict, tmp_path: Path
) -> None:
    folder = decoder(tiny_transformer, tmp_path, None)
    edit(folder / "tokenizer_config.json", add_eos_token=True)
    with pytest.raises(InputError, match=r"expected each text to end in \[SEP\], as add_eos_token in .*, got \?, as"):
        fetch(values(fetch_values, folder, pooling="lasttoken"), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_chat_template_of_an_instruct_model_wraps_no_text(
    tiny_transformer: Path, fetch_values: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = decoder(tiny_transformer, tmp_path, None)
    entry = values(fetch_values, folder, pooling="lasttoken", query_prefix="Find: ")
    fetch(entry, tmp_path / "plain")
    (folder / "chat_template.jinja").write_text("{% for message in messages %}array {{ message.content }}{% endfor %}")
    caplog.set_level("INFO")
    fetch(entry, tmp_path / "model")
    assert "texts are encoded as they are, without the chat template" in caplog.text
    np.testing.assert_array_equal(ours(tmp_path / "model"), ours(tmp_path / "plain"))
    np.testing.assert_allclose(plain(tmp_path / "model", "Find: "), ours(tmp_path / "plain"), atol=1e-5)


def decoder(tiny_transformer: Path, tmp_path: Path, ending: str | None) -> Path:
    """Save a decoder whose tokenizer ends texts as a template says."""
    folder = tmp_path / "decoder"
    save_decoder("qwen2", tiny_transformer, folder)
    if ending is not None:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        special = [(token, tokenizer.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
        tokenizer.post_processor = TemplateProcessing(single=ending, special_tokens=special)
        tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_written_model_that_plain_sentence_transformers_would_use_otherwise_is_refused(
    source: Path, fetch_values: dict, tmp_path: Path
) -> None:
    entry = values(fetch_values, source)
    lower_case(source)
    edit(source / "sentence_bert_config.json", processing_kwargs={"text": {"add_special_tokens": False}})
    with pytest.raises(InputError, match="expected a model that gives the same vectors here and by encode_query"):
        fetch(entry, tmp_path / "model")


STAGE = """
import sys
from pathlib import Path
from retune.core.cli import log_to_stderr
log_to_stderr()
from retune.encoding.encoder import Encoder
from retune.fetching.fetch import fetch
from retune.models.directory import load_model
from retune.params.fetch import Fetch
from tests.support.parameters import COMPUTE
values = {values!r}
fetch(Fetch.parse("fetch.tiny", values), Path({out!r}), where="tiny")
Encoder.load(Path({source!r}).parent / "model", COMPUTE).encode_documents(["read " * 999])
from FlagEmbedding.abc.finetune.embedder import EmbedderTrainerCallbackForDataRefresh
load_model(Path({source!r}), "cpu", attention="eager")
"""


def without_pooler(tiny_transformer: Path, folder: Path) -> Path:
    """Write a model whose weights lack a layer that no embedding uses, and hold one that it does not know."""
    save(tiny_transformer, folder, "mean")
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("pooler.")}
    assert len(kept) < len(weights)
    save_file(kept | {"head.weight": torch.ones(2)}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_weights_that_nothing_reads_are_the_same_each_time(
    tiny_transformer: Path, fetch_values: dict, tmp_path: Path
) -> None:
    source = without_pooler(tiny_transformer, tmp_path / "source")
    state = torch.random.get_rng_state()
    for name in ("first", "second"):
        torch.manual_seed(len(name))
        fetching.fetch(Fetch.parse("fetch.tiny", values(fetch_values, source)), tmp_path / name, where="fetch.tiny")
    torch.random.set_rng_state(state)
    first, second = (sha256(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    assert first == second


@pytest.mark.slow
def test_stderr_has_only_what_concerns_the_user(tiny_transformer: Path, fetch_values: dict, tmp_path: Path) -> None:
    source = without_pooler(tiny_transformer, tmp_path / "source")
    edit(source / "config_sentence_transformers.json", prompts={"q": "q: "}, default_prompt_name="q")
    entry = values(fetch_values, source, query_prefix="q: ")
    names = {"values": entry, "source": str(source), "out": str(tmp_path / "model")}
    code = STAGE.format(**names)
    result = run(f"python -c {shlex.quote(code)}", REPOSITORY, PYTHONPATH=f"{REPOSITORY / 'src'}:{REPOSITORY}")
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.strip() and not line.startswith("encode ")]  # progress
    assert lines == [
        f"{tmp_path / 'model'}: encoding on cpu in float32",
        "documents: 1 of 1 texts cut to 48 tokens",
    ], result.stderr
    assert not result.stdout
