"""Exports from a model and a data set on disk to a directory that loads again, or to one line and nothing."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from retune.core.errors import InputError
from retune.core.provenance import read_origins
from retune.core.records import Dataset, Split, empty_split, write_dataset
from retune.encoding import onnx_transformer
from retune.encoding.encoder import Encoder
from retune.encoding.fingerprint import ModelFiles, fingerprint
from retune.exporting import export as exporting
from retune.exporting import onnx_format, parity
from retune.exporting.export import export
from retune.exporting.parity import check_parity, cosines, draw_texts
from retune.exporting.task import Task
from retune.models.directory import load_model, read_encoding, save_model
from retune.models.scope import Scope, write_scope
from retune.params.export import Export
from stages import export as stage
from tests.support.encoders import random_encoder
from tests.support.parameters import COMPUTE, EXPORT
from tests.support.repository import WORDS, write_params

pytestmark = pytest.mark.usefixtures("forks")
TEXTS = [" ".join(WORDS[(start * 7 + step) % len(WORDS)] for step in range(1 + start % 23)) for start in range(40)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 documents, 6 dev queries and 4 test queries, one with a prompt."""
    folder = tmp_path_factory.mktemp("datasets") / "words"
    corpus = pd.DataFrame({"doc_id": [f"d{n}" for n in range(40)], "title": None, "text": TEXTS})
    splits = {"train": empty_split(), "dev": split(6, "read "), "test": split(4, None)}
    write_dataset(folder, Dataset(corpus, splits))
    return folder


def split(count: int, prompt: str | None) -> Split:
    ids = [f"q{n}" for n in range(count)]
    queries = pd.DataFrame({"query_id": ids, "text": WORDS[:count], "prompt": prompt, "answer": None})
    return Split(queries, pd.DataFrame({"query_id": ids, "doc_id": ["d0"] * count, "relevance": 1}))


class Exporting:
    """Exports the tiny model."""

    def __init__(self, folder: Path, model: Path, dataset: Path) -> None:
        self.folder, self.model, self.dataset, self.out = folder, model, dataset, folder / "exported"

    def run(self, **changed: Any) -> dict[str, Any]:
        params = Export.parse("export.exported", EXPORT | changed)
        return export(Task(self.model, self.dataset, params, COMPUTE, seed=3), self.out)

    def vectors(self) -> np.ndarray:
        return Encoder.load(self.out, COMPUTE).encode_documents(TEXTS)

    def original(self) -> np.ndarray:
        return Encoder.load(self.model, COMPUTE, dtype="float32").encode_documents(TEXTS)


@pytest.fixture
def project(tmp_path: Path, tiny_model: Path, dataset: Path) -> Exporting:
    return Exporting(tmp_path, tiny_model, dataset)


@pytest.mark.parametrize(("dtype", "bytes_each"), [("float32", 4), ("float16", 2), ("bfloat16", 2)])
def test_safetensors_are_saved_and_computed_in_the_dtype(dtype: str, bytes_each: int, project: Exporting) -> None:
    measured = project.run(dtype=dtype)
    weights = load_file(project.out / "model.safetensors")
    assert {values.dtype for values in weights.values() if values.is_floating_point()} == {getattr(torch, dtype)}
    assert measured["parameters"] * bytes_each < measured["megabytes"] * 1e6
    # eval.dtype is float32, but the export's own dtype is what is measured
    assert Encoder.load(project.out, COMPUTE, dtype="float32").dtype == getattr(torch, dtype)
    assert np.allclose(project.vectors(), project.original(), atol={4: 1e-6, 2: 2e-2}[bytes_each])
    assert measured["texts"] == {"documents": 20, "queries": 10}


def needs_onnx() -> None:
    for package in onnx_format.PACKAGES:
        pytest.importorskip(package, reason="exports to ONNX need requirements-export.txt")


@pytest.fixture(scope="module")
def as_onnx(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, dataset: Path) -> dict[str, Exporting]:
    """The tiny model as ONNX in both number formats."""
    needs_onnx()
    made = {}
    for dtype in ("float32", "int8"):
        made[dtype] = Exporting(tmp_path_factory.mktemp(dtype), tiny_model, dataset)
        made[dtype].measured = made[dtype].run(format="onnx", dtype=dtype)
    return made


each_dtype = pytest.mark.parametrize("dtype", ["float32", "int8"])


@pytest.mark.slow
def test_onnx_in_float32_gives_the_vectors_of_the_model(as_onnx: dict[str, Exporting]) -> None:
    project = as_onnx["float32"]
    np.testing.assert_allclose(project.vectors(), project.original(), atol=1e-5)


@pytest.mark.slow
def test_int8_is_smaller_and_near(as_onnx: dict[str, Exporting]) -> None:
    cosine = (as_onnx["int8"].vectors() * as_onnx["int8"].original()).sum(axis=1)
    assert 0.95 < cosine.min() < 0.99999
    sizes = {dtype: (project.out / "onnx/model.onnx").stat().st_size for dtype, project in as_onnx.items()}
    assert sizes["int8"] < sizes["float32"]


@each_dtype
@pytest.mark.slow
def test_vector_does_not_depend_on_other_texts_or_threads(
    dtype: str, as_onnx: dict[str, Exporting], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = as_onnx[dtype].vectors()
    encoder = Encoder.load(as_onnx[dtype].out, COMPUTE)
    alone = np.concatenate([encoder.encode_documents([text]) for text in TEXTS])
    np.testing.assert_array_equal(alone, expected)
    np.testing.assert_array_equal(encoder.encode_documents(TEXTS[::-1])[::-1], expected)
    monkeypatch.setattr(onnx_transformer.torch, "get_num_threads", lambda: 3)
    np.testing.assert_array_equal(as_onnx[dtype].vectors(), expected)


@pytest.mark.slow
def test_onnx_directory_has_no_weights_of_the_transformer_and_no_paths_of_this_machine(
    as_onnx: dict[str, Exporting],
) -> None:
    for project in as_onnx.values():
        assert sorted(path.name for path in project.out.iterdir() if path.is_file()) == [
            "config.json",
            "config_sentence_transformers.json",
            "model-card.md",
            "modules.json",
            "provenance.json",
            "retune.json",
            "sentence_bert_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
        ]
        assert [path.name for path in (project.out / "onnx").iterdir()] == ["model.onnx"]
        assert b"site-packages" not in (project.out / "onnx/model.onnx").read_bytes()
        assert read_origins(project.out) == read_origins(project.model)


@each_dtype
@pytest.mark.slow
def test_same_inputs_give_the_same_bytes(dtype: str, as_onnx: dict[str, Exporting]) -> None:
    project = as_onnx[dtype]
    files = {path: path.read_bytes() for path in project.out.rglob("*") if path.is_file()}
    assert project.run(format="onnx", dtype=dtype) == project.measured
    assert all(path.read_bytes() == content for path, content in files.items())


@pytest.mark.slow
def test_example_of_the_card_runs(as_onnx: dict[str, Exporting], tmp_path: Path) -> None:
    card = (as_onnx["int8"].out / "model-card.md").read_text()
    assert "`tiny` as onnx in int8, 32 dimensions." in card
    (tmp_path / "models").mkdir()
    shutil.copytree(as_onnx["int8"].out, tmp_path / "models/exported")
    code = re.search(r"```python\n(.*?)```", card, flags=re.DOTALL)[1]
    scores: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        exec(code, scores)
    assert scores["scores"].shape == (1, 1)


@pytest.mark.slow
def test_version_of_the_runtime_is_part_of_the_fingerprint(as_onnx: dict[str, Exporting]) -> None:
    assert ModelFiles.of(as_onnx["int8"].model).engine == ""
    assert re.fullmatch(r"onnxruntime [\d.]+", ModelFiles.of(as_onnx["int8"].out).engine)
    files, encoding = ModelFiles.of(as_onnx["int8"].out), read_encoding(as_onnx["int8"].out)
    device = {"dtype": torch.float32, "device": torch.device("cpu"), "token_budget": 512}
    keys = [fingerprint(each, encoding, "queries", **device) for each in (files, replace(files, engine="other"))]
    assert keys[0] != keys[1]


@pytest.mark.parametrize("form", [{}, {"format": "onnx", "dtype": "float32"}], ids=["safetensors", "onnx"])
def test_first_dimensions_are_kept(form: dict[str, str], project: Exporting) -> None:
    if form:
        needs_onnx()
    measured = project.run(**{"dtype": "float32", "dims": 8} | form)
    assert (measured["dims"], measured["cosine"]) == (8, {"least": 1.0, "median": 1.0})
    head = project.original()[:, :8]
    np.testing.assert_allclose(project.vectors(), head / np.linalg.norm(head, axis=1, keepdims=True), atol=1e-5)
    if not form:
        theirs = SentenceTransformer(str(project.out), device="cpu").encode_document(TEXTS)
        np.testing.assert_allclose(theirs, project.vectors(), atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"dims": 33}, "export.exported.dims: expected at most the model's 32 dimensions, got 33; lower it"),
        (
            {"max_mb": 0.01},
            r"export.exported.max_mb: expected at most 0.01 MB, got [\d.]+ MB, [\d.]+ MB too many; choose a narrower",
        ),
        (
            {"dtype": "bfloat16", "parity": {"texts": 9, "least": 1.0, "median": 0.5}},
            r"parity.least: expected at least 1, got 0.999\d+, 0.000\d+ too little; choose a wider dtype, or lower",
        ),
        (
            {"dtype": "bfloat16", "parity": {"texts": 9, "least": 0.5, "median": 1.0}},
            r"parity.median: expected at least 1, got 0.999\d+, 0.000\d+ too little",
        ),
    ],
    ids=["dims", "size", "least", "median"],
)
def test_broken_limit_is_named_and_leaves_nothing(changed: dict[str, Any], line: str, project: Exporting) -> None:
    with pytest.raises(InputError, match=line) as caught:
        project.run(**changed)
    assert len(str(caught.value).splitlines()) == 1
    assert list(project.folder.iterdir()) == []


def test_refused_export_does_not_leave_the_metrics_of_an_earlier_one(
    project: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    entries = {"exported": EXPORT | {"max_mb": 0.01}}
    compute = {"device": "cpu", "token_budget": 512}
    write_params(Path(), {"seed": 3, "compute": compute, "defaults": {"export": {}}, "export": entries})
    metrics = Path("exported.json")
    metrics.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="max_mb"):
        stage.main("exported", model=project.model, dataset=project.dataset, out=project.out, metrics=metrics)
    assert not metrics.exists()


def test_export_that_gives_no_numbers_leaves_nothing(project: Exporting, tmp_path: Path) -> None:
    large = tmp_path / "large"
    shutil.copytree(project.model, large)
    weights = load_file(large / "model.safetensors")
    name = "embeddings.LayerNorm.weight"
    # 1e38 times itself in attention is still a number in float32, after softmax; in float16 1e38 is infinite
    save_file(weights | {name: weights[name] * 1e6}, large / "model.safetensors", metadata={"format": "pt"})
    project.model = large
    with pytest.raises(InputError, match="expected finite vectors, got one that is not finite for the text"):
        project.run()
    assert [path.name for path in tmp_path.iterdir()] == ["large"]


def test_cosine_of_vectors_that_are_no_numbers_breaks_the_limits() -> None:
    limits = Export.parse("export.x", EXPORT).parity
    with pytest.raises(InputError, match=r"export.x.parity.least: expected at least 0.9, got nan"):
        check_parity(np.array([1.0, np.nan]), limits, "export.x")


def test_cosine_is_that_of_the_dimensions_kept() -> None:
    expected, found = np.array([[3.0, 4.0, 12.0]]), np.array([[1.0, 0.0]])
    assert cosines(expected, found) == pytest.approx([0.6])  # (3, 4) has length 5


def test_texts_are_at_most_half_queries_and_the_same_for_the_same_seed(dataset: Path) -> None:
    texts = draw_texts(dataset, 8, seed=1)
    assert (len(texts.documents), len(texts.queries)) == (4, 4)
    assert texts == draw_texts(dataset, 8, seed=1) != draw_texts(dataset, 8, seed=2)
    every = draw_texts(dataset, 1000, seed=1)
    assert (len(every.documents), every.prompts) == (40, ["read "] * 6 + [None] * 4)


def test_export_is_reloaded_in_another_process(project: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    # in this process nothing reads the folder of the export
    load = Encoder.load
    monkeypatch.setattr(
        exporting.Encoder,
        "load",
        lambda folder, *rest, **named: fail() if folder != project.model else load(folder, *rest, **named),
    )
    assert project.run()["cosine"]["least"] > 0.99


def die(*_: object) -> None:
    os._exit(1)  # as the kernel ends a process that lacks memory


def test_process_that_ends_early_is_reported_and_leaves_nothing(
    project: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "_encode", die)
    with pytest.raises(InputError, match="the process that reloads the export ended early; it may lack memory"):
        project.run()
    assert list(project.folder.iterdir()) == []


KINDS = {"bert": {}, "distilbert": {"n_heads": 2, "n_layers": 2, "dim": 32, "hidden_dim": 64}}


@pytest.mark.slow
@pytest.mark.parametrize("kind", onnx_format.ARCHITECTURES)
def test_architecture_gives_the_vectors_of_the_model(
    kind: str, tiny_model: Path, project: Exporting, tmp_path: Path
) -> None:
    needs_onnx()
    model = random_encoder(kind, tiny_model, tmp_path / "plain", **KINDS.get(kind, {}))
    project.model = tmp_path / kind
    save_model(model, read_encoding(tiny_model), project.model)
    shutil.copy(tiny_model / "provenance.json", project.model)
    assert project.run(format="onnx", dtype="float32")["cosine"]["least"] > 0.9999
    np.testing.assert_allclose(project.vectors(), project.original(), atol=1e-5)


def test_architecture_that_is_not_tested_is_refused(
    tiny_model: Path, project: Exporting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_onnx()
    monkeypatch.setattr(onnx_format, "ARCHITECTURES", ("roberta", "mpnet"))
    with pytest.raises(
        InputError, match=r"tiny: expected an architecture that is tested with ONNX \(roberta, mpnet\), got 'bert'; use"
    ):
        project.run(format="onnx", dtype="int8")
    assert not project.out.exists()


@pytest.mark.parametrize("package", onnx_format.PACKAGES)
def test_missing_package_is_named_with_the_command_that_installs_it(
    package: str, project: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_transformer.importlib.util, "find_spec", lambda name: None if name == package else name)
    with pytest.raises(
        InputError,
        match=f"ONNX: expected the package {package}, found none; run .venv/bin/python -m pip install --requirement re",
    ):
        project.run(format="onnx", dtype="int8")
    assert not project.out.exists()


def test_onnx_export_cannot_be_trained_or_merged(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx/model.onnx").touch()
    with pytest.raises(InputError, match="expected a model with weights, got an ONNX export; name another"):
        load_model(tmp_path, "cpu")


@pytest.mark.slow
def test_export_to_onnx_runs_on_the_cpu_where_there_is_a_gpu(as_onnx: dict[str, Exporting]) -> None:
    compute = COMPUTE.model_copy(update={"device": "cuda"})
    assert Encoder.load(as_onnx["int8"].out, compute).device.type == "cpu"


def test_static_model_is_cut_and_halved_but_has_no_onnx(tiny_model: Path, project: Exporting, tmp_path: Path) -> None:
    vocabulary = {word: number for number, word in enumerate([*WORDS, "[UNK]"])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(0).standard_normal((len(vocabulary), 16)).astype(np.float32)
    project.model = tmp_path / "static"
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")
    save_model(model, read_encoding(tiny_model), project.model)
    shutil.copy(tiny_model / "provenance.json", project.model)
    assert project.run(dims=8)["cosine"]["least"] > 0.999
    assert project.vectors().shape == (40, 8)
    needs_onnx()
    with pytest.raises(InputError, match="got 'static'; use format: safetensors"):
        project.run(format="onnx", dtype="int8")


def test_cross_encoder_is_refused(project: Exporting, tmp_path: Path) -> None:
    project.model = tmp_path / "pairs"
    shutil.copytree(project.dataset.parent, project.model)
    (project.model / "config.json").write_text('{"architectures": ["BertForSequenceClassification"]}')
    with pytest.raises(InputError, match="pairs: expected an embedding model, got a cross-encoder; name it as mine"):
        project.run()


def test_model_made_for_one_data_set_is_refused(project: Exporting, tmp_path: Path) -> None:
    project.model = tmp_path / "tower"
    shutil.copytree(project.dataset.parent, project.model)
    write_scope(project.model, Scope(dataset="faq", everywhere=False, corpus="", base=""))
    with pytest.raises(InputError, match="tower: expected a model that treats all data sets alike, got one that is m"):
        project.run()
    assert not project.out.exists()


@pytest.mark.slow
@each_dtype
def test_weights_that_are_too_large_for_one_file_stand_beside_it(
    dtype: str, project: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_onnx()
    monkeypatch.setattr(onnx_format, "MOST_BYTES", 1000)
    assert project.run(format="onnx", dtype=dtype)["cosine"]["median"] > 0.99
    assert sorted(path.name for path in (project.out / "onnx").iterdir()) == ["model.onnx", "model.onnx.data"]


@pytest.mark.slow
def test_lower_case_that_only_sentence_transformers_asks_for_is_kept(
    as_onnx: dict[str, Exporting], tmp_path: Path
) -> None:
    folder = tmp_path / "cased"
    shutil.copytree(as_onnx["float32"].out, folder)
    for name, value in (("tokenizer_config.json", False), ("sentence_bert_config.json", True)):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | {"do_lower_case": value}))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    upper, lower = Encoder.load(folder, COMPUTE).encode_documents(["SORT THE ARRAY", "sort the array"])
    np.testing.assert_array_equal(upper, lower)
