"""Vectors of a data set's documents, from a model on disk to files that another program searches."""

import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from retune.core.errors import InputError
from retune.core.files import write_json
from retune.core.records import Dataset, Split, empty_split, write_dataset
from retune.encoding.encoder import Encoder
from retune.encoding.fingerprint import ModelFiles
from retune.evaluation.evaluate import measure
from retune.models.directory import LEXICAL
from retune.models.scope import Scope, write_scope
from retune.params.eval import Measuring
from retune.vectors import faiss_store
from retune.vectors.measuring import CANDIDATES, K
from retune.vectors.ship import FORMATS, Order, ship
from stages import vectors as command
from tests.support.commands import blocks, lines
from tests.support.parameters import COMPUTE, MEASURING
from tests.support.repository import WORDS

COUNT, DIM = 120, 32
ORDERS = np.random.default_rng(0).permuted(np.tile(WORDS, (COUNT, 1)), axis=1)
TEXTS = [" ".join(words[: 2 + row % 5]) for row, words in enumerate(ORDERS)]  # no two are alike
PARAMS = Measuring.parse("eval", MEASURING | {"ks": [10], "dtype": "float32"})


def dataset(test: Split | None = None) -> Dataset:
    """120 documents of two to six words, and 30 queries of two words of a document."""
    texts = [" ".join(text.split()[:2]) for text in TEXTS[:30]]
    corpus = pd.DataFrame({"doc_id": [f"doc {row}" for row in range(COUNT)], "title": None, "text": TEXTS})
    ids = [f"q{row}" for row in range(len(texts))]
    queries = pd.DataFrame({"query_id": ids, "text": texts, "prompt": None, "answer": None})
    qrels = pd.DataFrame({"query_id": ids, "doc_id": corpus["doc_id"][: len(ids)], "relevance": 1})
    return Dataset(corpus, {"train": empty_split(), "dev": empty_split(), "test": test or Split(queries, qrels)})


@pytest.fixture
def project(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the model `minilm_sympy` and the data set `sympy`; the working directory."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/minilm_sympy").symlink_to(tiny_model)
    write_dataset(tmp_path / "data/datasets/sympy", dataset())
    params = {"compute": {"device": "cpu", "token_budget": 512}, "eval": PARAMS.model_dump()}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    return tmp_path


Ship = Callable[..., str]


@pytest.fixture
def written(project: Path) -> Ship:
    """Write vectors to the folder `out`."""

    def call(dtype: str = "float32", format: str = "parquet", *, model: str = "minilm_sympy", **changed: Any) -> str:
        order = Order(project / "models" / model, project / "data/datasets/sympy", dtype, format, project / "excluded")
        return ship(order, project / "out", PARAMS.model_copy(update=changed), COMPUTE)

    return call


def evaluated(project: Path, **changed: Any) -> tuple[dict[str, float], np.ndarray]:
    """Return the metrics and the ids of the 10 nearest documents as the stage `eval` finds them."""
    params = PARAMS.model_copy(update=changed)
    folders = project / "models/minilm_sympy", project / "data/datasets/sympy"
    result = measure(*folders, params, COMPUTE, excluded=project / "excluded", seed=1)
    return result.means, result.run["doc_id"].to_numpy().reshape(-1, 10)


def queries(project: Path) -> np.ndarray:
    asked = dataset().splits["test"].queries
    encoder = Encoder.load(project / "models/minilm_sympy", COMPUTE, dtype="float32")
    return encoder.encode_queries(asked["text"].tolist(), [None] * len(asked))


def column(project: Path, name: str = "vector") -> np.ndarray:
    values = pq.read_table(project / "out/vectors.parquet")[name].combine_chunks()
    return values.flatten().to_numpy().reshape(len(values), -1)


def test_search_among_float32_finds_what_the_evaluation_finds(written: Ship, project: Path) -> None:
    table = written()
    means, nearest = evaluated(project)
    content = json.loads((project / "out/vectors.json").read_text())
    assert [row["ndcg_at_10"] for row in content["search"]] == [means["ndcg_at_10"]] * 2
    assert [row["recall_at_10"] for row in content["search"]] == [means["recall_at_10"]] * 2
    assert 0.1 < means["ndcg_at_10"] < 0.95
    # by NumPy alone, from the file alone
    ids = pq.read_table(project / "out/vectors.parquet")["doc_id"].to_numpy(zero_copy_only=False)
    order = np.argsort(-queries(project) @ column(project).T, axis=1, kind="stable")[:, :10]
    assert np.mean(ids[order] == nearest) > 0.99  # documents whose scores are equal but for the last bit
    assert table.splitlines() == [
        "| vectors | MB | nDCG@10 | Recall@10 | of float32's top 10 |",
        "| --- | ---: | ---: | ---: | ---: |",
        f"| float32, as evaluated | 0.02 | {means['ndcg_at_10']:.4f} | {means['recall_at_10']:.4f} | 1.0000 |",
        f"| float32, parquet | 0.02 | {means['ndcg_at_10']:.4f} | {means['recall_at_10']:.4f} | 1.0000 |",
    ]


def test_description_says_by_which_model_and_how_much(written: Ship, project: Path, tiny_model: Path) -> None:
    written("float16")
    content = json.loads((project / "out/vectors.json").read_text())
    rows = content.pop("search")
    assert [row["bytes"] for row in rows] == [COUNT * DIM * 4, COUNT * DIM * 2]
    assert len(content.pop("corpus_sha256")) == 64
    assert content == {
        "model": "minilm_sympy",
        "model_sha256": ModelFiles.of(tiny_model).sha256,
        "dataset": "sympy",
        "format": "parquet",
        "dtype": "float16",
        "dim": DIM,
        "count": COUNT,
        "bytes": COUNT * DIM * 2,
        "files": {"vectors.parquet": (project / "out/vectors.parquet").stat().st_size},
    }


@pytest.mark.parametrize(
    ("dtype", "kinds"),
    [
        ("float32", {"vector": "fixed_size_list<element: float>[32]"}),
        ("float16", {"vector": "fixed_size_list<element: halffloat>[32]"}),
        ("int8", {"vector": "fixed_size_list<element: int8>[32]"}),
        ("binary", {"vector": "fixed_size_list<element: uint8>[4]", "int8": "fixed_size_list<element: int8>[32]"}),
    ],
)
def test_columns_are_lists_of_fixed_size(dtype: str, kinds: dict[str, str], written: Ship, project: Path) -> None:
    written(dtype)
    schema = pq.read_schema(project / "out/vectors.parquet")
    assert {field.name: str(field.type).replace("item", "element") for field in schema} == {"doc_id": "string"} | kinds


def test_int8_times_its_scales_is_the_vector(written: Ship, project: Path) -> None:
    written()
    exact = column(project)
    shutil.rmtree(project / "out")
    written("int8")
    scales = np.array(json.loads((project / "out/vectors.json").read_text())["scales"])
    assert (np.abs(column(project) * scales - exact) <= scales / 2 * 1.001).all()


def test_bits_are_the_signs_of_the_vector(written: Ship, project: Path) -> None:
    written()
    exact = column(project)
    shutil.rmtree(project / "out")
    written("binary")
    np.testing.assert_array_equal(np.unpackbits(column(project), axis=1), exact > 0)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("dtype", "share"), [("float32", 0.99), ("float16", 0.97), ("int8", 0.9), ("binary", 0.2)])
def test_narrower_numbers_find_most_of_what_float32_finds(
    dtype: str, share: float, format: str, written: Ship, project: Path
) -> None:
    written(dtype, format)
    first, plain, *rescored = json.loads((project / "out/vectors.json").read_text())["search"]
    assert first["share_of_float32"] == 1.0
    assert share < plain["share_of_float32"] <= (1.0 if dtype != "binary" else 0.9)
    assert bool(rescored) == (dtype == "binary")
    for row in rescored:
        assert row["vectors"] == f"binary, {CANDIDATES} nearest rescored with int8"
        assert row["bytes"] == COUNT * DIM // 8 + COUNT * DIM
        assert row["share_of_float32"] > plain["share_of_float32"]


def test_rescored_are_the_nearest_of_those_that_bits_find(written: Ship, project: Path) -> None:
    written("binary")
    asked, bits = queries(project), column(project)
    scales = np.array(json.loads((project / "out/vectors.json").read_text())["scales"], dtype=np.float32)
    exact = np.argsort(-asked @ (column(project, "int8") * scales).T, axis=1, kind="stable")
    distances = np.unpackbits(np.packbits(asked > 0, axis=1)[:, None] ^ bits, axis=2).sum(axis=2)
    kept = 0
    _, nearest = evaluated(project)
    for row, (order, distance) in enumerate(zip(exact, distances, strict=True)):
        candidates = np.argsort(distance, kind="stable")[:CANDIDATES]
        best = [position for position in order if position in candidates][:K]
        kept += len(set(nearest[row]) & {f"doc {position}" for position in best})
    rescored = json.loads((project / "out/vectors.json").read_text())["search"][2]
    assert rescored["share_of_float32"] == pytest.approx(kept / nearest.size, abs=0.005)


def test_index_of_faiss_is_searched_by_position(written: Ship, project: Path) -> None:
    written("float32", "faiss")
    assert sorted(path.name for path in (project / "out").iterdir()) == [
        "doc_ids.parquet", "vectors.faiss", "vectors.json",
    ]  # fmt: skip
    _, positions = faiss.read_index(str(project / "out/vectors.faiss")).search(queries(project), 10)
    ids = pq.read_table(project / "out/doc_ids.parquet")["doc_id"].to_numpy(zero_copy_only=False)
    _, nearest = evaluated(project)
    assert np.mean(np.sort(ids[positions]) == np.sort(nearest)) > 0.99


@pytest.mark.parametrize(("dtype", "kind"), [("float16", "QT_fp16"), ("int8", "QT_8bit")], ids=["float16", "int8"])
def test_index_of_faiss_has_the_number_format(dtype: str, kind: str, written: Ship, project: Path) -> None:
    written(dtype, "faiss")
    index = faiss.read_index(str(project / "out/vectors.faiss"))
    assert (index.sq.qtype, index.ntotal) == (getattr(faiss.ScalarQuantizer, kind), COUNT)
    assert index.metric_type == faiss.METRIC_INNER_PRODUCT


def test_index_of_bits_stands_beside_one_of_int8(written: Ship, project: Path) -> None:
    written("binary", "faiss")
    index = faiss.read_index_binary(str(project / "out/vectors.faiss"))
    assert (index.d, index.ntotal) == (DIM, COUNT)
    assert faiss.read_index(str(project / "out/int8.faiss")).sq.qtype == faiss.ScalarQuantizer.QT_8bit


@pytest.mark.parametrize("format", FORMATS)
def test_dimensions_that_fill_no_byte_are_filled_up(format: str, written: Ship, project: Path) -> None:
    written("binary", format, dims=13)
    content = json.loads((project / "out/vectors.json").read_text())
    assert (content["dim"], content["bytes"]) == (13, COUNT * 2)
    assert content["search"][0]["ndcg_at_10"] == evaluated(project, dims=13)[0]["ndcg_at_10"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", ["int8", "binary"])
def test_second_time_gives_equal_bytes(dtype: str, format: str, written: Ship, project: Path) -> None:
    files = []
    for _ in range(2):
        written(dtype, format)
        files.append({path.name: path.read_bytes() for path in (project / "out").iterdir()})
        shutil.rmtree(project / "out")
    assert files[0] == files[1]


def test_excluded_documents_are_not_found(written: Ship, project: Path) -> None:
    (project / "excluded").mkdir()
    rows = "".join(f"q0,{doc_id}\n" for doc_id in evaluated(project)[1][0])
    (project / "excluded/sympy.csv").write_text(f"query_id,doc_id\n{rows}")
    for dtype in ("float32", "binary"):
        written(dtype)
        for row in json.loads((project / "out/vectors.json").read_text())["search"][: 2 if dtype == "float32" else 1]:
            assert row["ndcg_at_10"] == evaluated(project)[0]["ndcg_at_10"]
        shutil.rmtree(project / "out")


def test_corpus_smaller_than_what_is_searched_for_is_found_whole(written: Ship, project: Path) -> None:
    small = dataset()
    asked = small.splits["test"]
    test = Split(asked.queries[:6], asked.qrels[:6])
    write_dataset(project / "data/datasets/sympy", Dataset(small.corpus[:6], small.splits | {"test": test}))
    for format in FORMATS:
        written("binary", format)
        for row in json.loads((project / "out/vectors.json").read_text())["search"]:
            assert (row["recall_at_10"], row["share_of_float32"]) == (1.0, 1.0)
        shutil.rmtree(project / "out")


def test_data_set_without_test_queries_is_written_and_not_searched(written: Ship, project: Path) -> None:
    write_dataset(project / "data/datasets/sympy", dataset(empty_split()))
    assert written("binary").splitlines()[2:] == [
        "| float32, as evaluated | 0.02 |  |  |  |",
        "| binary, parquet | 0.00 |  |  |  |",
        "| binary, 40 nearest rescored with int8 | 0.00 |  |  |  |",
    ]
    assert len(column(project)) == COUNT


def test_commands_of_the_page_write_what_it_says(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in lines(blocks("docs/vectors.md")[0]):
        _, _, module, *arguments = line.split()
        assert module == "stages.vectors"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["vectors", *arguments])
            command.run(command.main)
        folder = project / arguments[arguments.index("--out") + 1]
        assert (folder / "vectors.json").is_file()
        assert "| float32, as evaluated |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("other sympy --out out", "model: expected one of minilm_sympy (in models), got 'other'"),
        ("minilm_sympy other --out out", "dataset: expected one of sympy (in data/datasets), got 'other'"),
        (
            "minilm_sympy sympy --out out --dtype int4",
            "--dtype: expected one of float32, float16, int8, binary, got 'int4'",
        ),
        ("minilm_sympy sympy --out out --format csv", "--format: expected one of parquet, faiss, got 'csv'"),
        (
            "words sympy --out out",
            "models/words: expected an embedding model, got BM25, which has no vectors; only eval, predict, rerank and fuse accept it",
        ),
        (
            "moved sympy --out out",
            "models/moved: expected a model that treats all data sets alike, got one that is made for 'sympy'; "
            "name its base, or another model",
        ),
        (
            "minilm_sympy sympy --out data",
            "data: expected a new or empty folder, got one with content; remove it or name another",
        ),
        ("minilm_sympy sympy --out params.yaml/out", "params.yaml/out: expected a folder that can be written, got: "),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    arguments: str, message: str, project: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (project / "models/words").mkdir()
    (project / "models/words" / LEXICAL).write_text("{}")
    if arguments.startswith("moved"):
        shutil.copytree(tiny_model, project / "models/moved")
        write_scope(project / "models/moved", Scope(dataset="sympy", everywhere=False, corpus="", base=""))
    if arguments.startswith("other"):
        shutil.rmtree(project / "models/words")
    before = sorted(project.rglob("*"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(sys, "argv", ["vectors", *arguments.split()])
        command.run(command.main)
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {message}")
    assert sorted(project.rglob("*")) == before


def test_cross_encoder_is_refused(written: Ship, project: Path) -> None:
    (project / "models/pairs").mkdir()
    shutil.copy(project / "models/minilm_sympy/retune.json", project / "models/pairs")
    write_json(project / "models/pairs/config.json", {"architectures": ["BertForSequenceClassification"]})
    with pytest.raises(InputError, match="pairs: expected an embedding model, got a cross-encoder"):
        written(model="pairs")


def test_missing_faiss_is_named_with_the_command_that_installs_it(
    written: Ship, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(faiss_store, "find_spec", lambda name: None if name == "faiss" else find(name))
    with pytest.raises(
        InputError, match=re.escape("--format faiss: expected the package faiss-cpu, found none; run .venv/bin/python")
    ):
        written("int8", "faiss")
    assert not (project / "out").exists()
    written("int8", "parquet")
