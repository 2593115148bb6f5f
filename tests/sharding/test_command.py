"""Shards of any number merge to the bytes of one machine, and shards of other work are refused."""

import json
import re
import shutil
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from retune.core import cli
from retune.core.errors import InputError
from retune.core.records import Dataset, read_corpus, read_split, write_dataset
from retune.core.section import _read_once
from retune.encoding.compute import Cache, Compute
from retune.encoding.encoder import Encoder
from retune.mining import mine as mining
from retune.retrieval.exact import merge_top_k, top_k
from retune.sharding import command, shard
from retune.sharding.command import Folders
from retune.sharding.shard import Shard
from stages import eval as eval_stage
from stages import mine as mine_stage
from stages import shard as stage
from tests.support.commands import in_blocks
from tests.support.parameters import COMPUTE, MEASURING, recipe
from tests.support.systems import write_cross_encoder
from tests.support.training_task import corpus, split

LIMITS = {"percent_of_positive": 0.99}
RECIPES: dict[str, dict[str, Any]] = {
    "limits": {"limits": LIMITS, "shortage": "random", "range": [2, 9]},
    "mixed": {"range": [0, 5], "extra_ranges": [{"range": [5, None], "share": 0.5}], "negatives": 4},
    "words": {"ranking": "bm25", "sampling": "score", "sampling_temperature": 1.0, "range": [0, 12], "negatives": 3},
    "cross": {"scorer": "cross", "limits": LIMITS, "negatives": 3},
    "relabelled": {
        "scorer": "cross",
        "negatives": 3,
        "relabel": {"by": "cross_encoder", "lowest": 0.3, "becomes": "left_out"},
    },
}


@pytest.fixture
def project(
    tiny_model: Path, tiny_transformer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """A folder with a data set, models and parameters; the function does what the command does."""
    shutil.copytree(tiny_model, tmp_path / "models/tiny")
    write_cross_encoder(tiny_transformer, tmp_path / "models/cross")
    write_dataset(
        tmp_path / "data/datasets/words", Dataset(corpus(), {"train": split(), "dev": split(), "test": split()})
    )
    (tmp_path / "data/datasets/words/provenance.json").write_text("[]", encoding="utf-8")
    (tmp_path / "data/excluded").mkdir()
    values = {
        "seed": 13,
        "compute": {"device": "cpu", "token_budget": 512},
        "defaults": {"mine": {}},
        "mine": {name: recipe("words", "tiny", **changes) for name, changes in RECIPES.items()},
        "eval": MEASURING | {"ks": [1, 5], "models": ["tiny"], "datasets": ["words"]},
    }
    with open(tmp_path / "params.yaml", "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(values, file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETUNE_CACHE", str(tmp_path / "cache"))
    data = Path("data")
    folders = Folders(
        Path("models"),
        data / "datasets",
        data / "mined",
        Path("metrics"),
        Path("prompts"),
        data / "runs",
        data / "excluded",
    )
    return lambda work, folder, part="", dtype="auto": command.do(work, Path(folder), part, folders, dtype=dtype)


Do = Callable[..., str]


def mine_whole(name: str) -> None:
    """Do what the stage does."""
    scorer = "cross" if name in ("cross", "relabelled") else "tiny"
    words, models = Path("data/datasets/words"), Path("models")
    mine_stage.main(
        name, dataset=words, pool=words, model=models / "tiny", scorer=models / scorer, prompts=Path("prompts"),
        out=Path("whole") / name, metrics=Path("whole.json"),
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("name", RECIPES)
def test_mined_shards_merge_to_the_bytes_of_one_machine(
    project: Do, monkeypatch: pytest.MonkeyPatch, name: str, count: int
) -> None:
    monkeypatch.setattr(mining, "CANDIDATES_A_BLOCK", 60)  # several blocks
    mine_whole(name)
    for number in reversed(range(1, count + 1)):  # in any order
        assert project(f"mine.{name}", "shards", f"{number}/{count}").startswith(
            f"mine.{name}: shard {number}/{count} is shards/{number:05}-of-{count:05}-"
        )
    assert f"dvc commit mine@{name}" in project("merge", "shards")
    assert contents(Path("data/mined") / name) == contents(Path("whole") / name)
    assert Path(f"metrics/{name}.json").read_bytes() == Path("whole.json").read_bytes()
    audit = json.loads(Path("whole.json").read_text(encoding="utf-8"))
    assert audit["negatives"] > 10
    assert "relabel" not in audit or 0 < audit["relabel"]["left_out"] < audit["relabel"]["asked"]


@pytest.mark.parametrize("count", [1, 5])
def test_encoded_shards_are_what_stages_find_in_the_cache(project: Do, tmp_path: Path, count: int) -> None:
    for number in range(1, count + 1):
        project("encode.tiny.words", "shards", f"{number}/{count}", dtype="float32")
    assert not (tmp_path / "cache").exists()
    assert project("merge", "shards").startswith("encode.tiny.words: 24 documents and 24 queries are in ")
    texts = [f"{text}" for text in corpus()["text"]]
    alone = Encoder.load(Path("models/tiny"), Compute(device="cpu", token_budget=512), dtype="float32")
    compute = Compute(device="cpu", token_budget=512, cache=Cache(folder=tmp_path / "cache", max_gb=1.0))
    cached = Encoder.load(Path("models/tiny"), compute, dtype="float32")
    shutil.move("models/tiny", "models/away")  # nothing can be computed any more
    found = cached.encode_documents(texts), cached.encode_queries(split().queries["text"].tolist(), [None] * 24)
    shutil.move("models/away", "models/tiny")
    np.testing.assert_array_equal(found[0], alone.encode_documents(texts))
    np.testing.assert_array_equal(found[1], alone.encode_queries(split().queries["text"].tolist(), [None] * 24))


@pytest.mark.parametrize("count", [1, 3, 24, 30])
def test_searched_shards_merge_to_the_run_of_eval(project: Do, count: int) -> None:
    folder = Path("whole")
    eval_stage.main(
        model=Path("models/tiny"), dataset=Path("data/datasets/words"), excluded=Path("data/excluded"),
        means=folder / "means.json", scores=folder / "scores.parquet", trec=folder / "words.trec",
        pair_scores=folder / "pairs.json",
    )  # fmt: skip
    for number in range(1, count + 1):
        project("search.tiny.words", "shards", f"{number}/{count}")
    assert project("merge", "shards").endswith("are in data/runs/tiny/words.trec")
    assert Path("data/runs/tiny/words.trec").read_bytes() == (folder / "words.trec").read_bytes()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 12), st.lists(st.integers(0, 60), max_size=6))
def test_merged_neighbours_are_those_of_the_whole_corpus(seed: int, size: int, k: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    documents = rng.integers(-2, 3, (size, 3)).astype(np.float32)  # many equal scores
    queries, cpu = rng.integers(-2, 3, (5, 3)).astype(np.float32), torch.device("cpu")
    edges = [0, *sorted({min(cut, size) for cut in cuts} - {0, size}), size]
    parts = []
    for start, stop in pairwise(edges):
        scores, positions = top_k(queries, documents[start:stop], k, device=cpu)
        parts.append((scores, positions + start))
    for merged, whole in zip(merge_top_k(parts, k), top_k(queries, documents, k, device=cpu), strict=True):
        np.testing.assert_array_equal(merged, whole)


@given(st.integers(0, 1000), st.integers(1, 50))
def test_shards_take_every_row_once(total: int, count: int) -> None:
    rows = [list(range(total))[Shard(number, count).rows(total)] for number in range(1, count + 1)]
    assert list(chain(*rows)) == list(range(total))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


def test_commands_of_the_page_do_all_shards_and_merge_them(project: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("models/tiny", "data/datasets/words"):
        shutil.copytree(folder, folder.replace("tiny", "minilm").replace("words", "science"))
    text = Path("params.yaml").read_text(encoding="utf-8").replace("words", "science").replace("tiny", "minilm")
    Path("params.yaml").write_text(text.replace("limits:", "science:", 1), encoding="utf-8")
    _read_once.cache_clear()
    shown = [line for line in in_blocks("docs/distributed.md") if line.startswith("python -m stages.shard")]
    parts, (merge,) = [line for line in shown if "2/8" in line], [line for line in shown if "merge" in line]

    def do(line: str) -> None:
        monkeypatch.setattr("sys.argv", line.partition("#")[0].split()[2:])
        cli.run(stage.main)

    for line in parts:
        for number in range(1, 9):
            do(line.replace("2/8", f"{number}/8"))
    for folder in ("encode", "mine", "search"):
        do(merge.replace("shards/encode", f"shards/{folder}"))
    assert Path("data/mined/science/examples.parquet").is_file()
    assert Path("metrics/mined/science.json").is_file()
    assert Path("data/runs/minilm/science.trec").is_file()


def shards() -> list[Path]:
    return sorted(Path("shards").iterdir())


def set_seed(seed: int) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(re.sub(r"seed: \d+", f"seed: {seed}", text), encoding="utf-8")
    _read_once.cache_clear()


def test_missing_shard_is_named(project: Do) -> None:
    with pytest.raises(InputError, match="shards: expected shards, found none; run python -m stages.shard"):
        project("merge", "shards")
    project("mine.limits", "shards", "2/3")
    with pytest.raises(InputError, match="shards: expected 3 shards, 2 are missing: 1/3, 3/3; run them"):
        project("merge", "shards")


def test_damaged_or_renamed_shard_is_refused(project: Do) -> None:
    project("mine.limits", "shards", "1/1")
    (path,) = shards()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="expected a shard with the hash in its name, got another file"):
        project("merge", "shards")
    path.rename(path.with_name("part.parquet"))
    with pytest.raises(InputError, match="part.parquet: expected a shard with the hash in its name"):
        project("merge", "shards")


def test_same_shard_run_twice_is_the_same_file(project: Do) -> None:
    for _ in range(2):
        project("mine.limits", "shards", "1/1")
    assert len(shards()) == 1


def test_shards_of_other_parameters_code_data_or_work_are_refused(project: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    project("mine.limits", "shards", "1/2")
    first = shards()[0]

    def refused(what: str) -> None:
        (other,) = [path for path in shards() if path != first]
        with pytest.raises(InputError, match=f"expected shards of the same work, got other {what} in {first.name} and"):
            project("merge", "shards")
        other.unlink()

    set_seed(14)
    project("mine.limits", "shards", "2/2")
    refused("parameters")
    set_seed(13)
    with monkeypatch.context() as patch:
        patch.setattr("retune.sharding.mining.code_hash", lambda packages: "other")
        project("mine.limits", "shards", "2/2")
    refused("code")
    project("mine.words", "shards", "2/2")
    refused("work")
    project("mine.limits", "shards", "2/3")
    refused("number of shards")
    dataset = Path("data/datasets/words")
    changed = read_corpus(dataset)
    changed.loc[0, "text"] = "other"
    write_dataset(dataset, Dataset(changed, {name: read_split(dataset, name) for name in ("train", "dev", "test")}))
    project("mine.limits", "shards", "2/2")
    refused("data")


def test_shards_of_other_parameters_than_are_here_are_refused(project: Do) -> None:
    project("mine.limits", "shards", "1/1")
    set_seed(14)
    with pytest.raises(InputError, match="mine.limits: expected shards of what is here, got other parameters; run the"):
        project("merge", "shards")
    assert not Path("data/mined").exists()


def test_search_merges_only_where_the_data_set_is_the_one_that_was_searched(project: Do) -> None:
    project("search.tiny.words", "shards", "1/1")
    dataset = Path("data/datasets/words")
    splits = {name: read_split(dataset, name) for name in ("train", "dev", "test")}
    write_dataset(dataset, Dataset(read_corpus(dataset)[::-1].reset_index(drop=True), splits))
    with pytest.raises(InputError, match="words: expected the data set that was searched, got another; search again"):
        project("merge", "shards")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dims: null", "dims: 8"),
        ("exclude_same_id: false", "exclude_same_id: true"),
        ("judged_only: []", "judged_only: [words]"),
    ],
)
def test_search_that_eval_would_do_otherwise_is_refused(project: Do, old: str, new: str) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    assert old in text
    Path("params.yaml").write_text(text.replace(old, new), encoding="utf-8")
    _read_once.cache_clear()
    name = new.partition(":")[0]
    with pytest.raises(InputError, match=rf"params.yaml: eval.{name}: expected a plain exact search, got another; run"):
        project("search.tiny.words", "shards", "1/1")


def test_search_with_excluded_documents_is_refused(project: Do) -> None:
    Path("data/excluded/words.csv").write_text("query_id,doc_id\nq1,d1\n", encoding="utf-8")
    with pytest.raises(InputError, match="words.csv: expected no excluded documents for a search in shards; run eval"):
        project("search.tiny.words", "shards", "1/1")


def test_code_hash_changes_with_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "core").mkdir()
    monkeypatch.setattr(shard, "SOURCE", tmp_path)
    hashes = []
    for code in ("a = 1\n", "a = 2\n"):
        (tmp_path / "core/x.py").write_text(code, encoding="utf-8")
        hashes.append(shard.code_hash(["core"]))
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    ("work", "part", "dtype", "message"),
    [
        ("mine.limits", "", "auto", "shard: expected i/n with i from 1 to n, such as 2/8, got ''"),
        ("mine.limits", "0/2", "auto", "shard: expected i/n"),
        ("mine.limits", "3/2", "auto", "shard: expected i/n"),
        ("mine.absent", "1/2", "auto", "mine.absent"),
        ("encode.absent.words", "1/2", "auto", "models/absent: expected a folder, found none"),
        ("encode.tiny", "1/2", "auto", "work: expected one of encode.MODEL.DATASET, search.MODEL.DATASET, mine.RECIPE"),
        ("mine.limits", "1/2", "float32", "dtype: expected it with encode alone, got 'float32' with mine; remove it"),
        ("merge", "1/2", "auto", "shard: expected none with merge, got '1/2'; remove it"),
        ("encode.tiny.words", "1/2", "int8", "dtype: expected one of auto, float32, bfloat16, float16, got 'int8'"),
    ],
)
def test_wrong_command_is_one_line(project: Do, work: str, part: str, dtype: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        project(work, "shards", part, dtype=dtype)


def test_merging_vectors_needs_a_cache(project: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    project("encode.tiny.words", "shards", "1/1")
    monkeypatch.setenv("RETUNE_CACHE", "")
    with pytest.raises(InputError, match="RETUNE_CACHE: expected a folder for the vectors, found none"):
        project("merge", "shards")


def test_vectors_that_cannot_be_kept_are_an_error(project: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    project("encode.tiny.words", "shards", "1/1")
    monkeypatch.setenv("RETUNE_CACHE_GB", "1e-9")
    with pytest.raises(InputError, match="RETUNE_CACHE_GB: expected room for 24 vectors of documents, 0 were kept"):
        project("merge", "shards")
    Path("file").touch()
    monkeypatch.setattr(
        Compute, "read", lambda key: COMPUTE.model_copy(update={"cache": Cache(folder=Path("file/x"), max_gb=1.0)})
    )
    with pytest.raises(InputError, match="RETUNE_CACHE: expected a folder to write to, got 'file/x'; fix it"):
        project("merge", "shards")
