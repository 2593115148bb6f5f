"""What is named on the command line, such as `mine.science`, divided into shards or put together."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from retune.core.errors import InputError
from retune.core.section import Dtype, read_value
from retune.encoding.compute import Compute
from retune.mining.recipe import Recipe
from retune.params.eval import read_measuring
from retune.params.mine import Mine
from retune.retrieval.trec_runs import write_run
from retune.sharding.encoding import encode_shard, merge_vectors
from retune.sharding.mining import finish_mining, mine_shard
from retune.sharding.searching import merge_search, search_shard
from retune.sharding.shard import Result, Shard, read_shards, write_shard

FORMS = {"encode": "encode.MODEL.DATASET", "search": "search.MODEL.DATASET", "mine": "mine.RECIPE"}


@dataclass(frozen=True)
class Folders:
    """Where things are.

    Attributes:
        models: Model directories.
        datasets: Data sets.
        mined: Mined sets.
        metrics: Audits of mining.
        prompts: Prompt files.
        runs: Run files.
        excluded: Excluded documents.
    """

    models: Path
    datasets: Path
    mined: Path
    metrics: Path
    prompts: Path
    runs: Path
    excluded: Path


def do(work: str, folder: Path, shard: str, folders: Folders, *, dtype: str) -> str:
    """Do one shard of some work, or put all shards together; return what was done.

    Merging puts vectors into the embedding cache, negatives into the mined set of their recipe, and rankings into a
    run file.

    Args:
        work: One of `FORMS`, or `merge`.
        folder: The folder of the shards.
        shard: `i/n`; empty with `merge`.
        folders: Where things are.
        dtype: The number format to encode in, of a model whose own settings say `auto`.

    Raises:
        InputError: The work is not known, what it names is not there, or a shard is missing, damaged, or part of other
            work.
    """
    if dtype not in get_args(Dtype):
        raise InputError(f"dtype: expected one of {', '.join(get_args(Dtype))}, got {dtype!r}")
    kind, *names = ["merge"] if work == "merge" else _parse(work)
    if kind == "merge" and shard:
        raise InputError(f"shard: expected none with merge, got {shard!r}; remove it")
    if kind != "encode" and dtype != "auto":
        raise InputError(f"dtype: expected it with encode alone, got {dtype!r} with {kind}; remove it")
    if kind == "merge":
        return _merge(read_shards(folder), folders)
    part, compute = Shard.parse(shard), Compute.read("compute")
    if kind == "mine":
        result = mine_shard(names[0], _recipe(names[0], folders, compute), part)
    else:
        model, dataset = _existing(folders.models / names[0]), _existing(folders.datasets / names[1])
        if kind == "encode":
            result = encode_shard(model, dataset, part, compute, dtype=dtype)
        else:
            result = search_shard(model, dataset, part, compute, read_measuring(), excluded=folders.excluded)
    return f"{work}: shard {part.number}/{part.count} is {write_shard(folder, result)}"


def _merge(results: list[Result], folders: Folders) -> str:
    kind, *names = _parse(results[0].work.name)
    compute = Compute.read("compute")
    if kind == "encode":
        return merge_vectors(results, compute.cache)
    if kind == "search":
        return _write_run(results, names, folders)
    recipe, out = _recipe(names[0], folders, compute), folders.mined / names[0]
    return finish_mining(names[0], recipe, results, out, folders.metrics / f"{names[0]}.json")


def _write_run(results: list[Result], names: list[str], folders: Folders) -> str:
    path = folders.runs / names[0] / f"{names[1]}.trec"
    write_run(path, merge_search(results, folders.datasets / names[1]), names[0])
    return f"{results[0].work.name}: the nearest documents of all {len(results)} shards are in {path}"


def _parse(work: str) -> list[str]:
    kind, *names = work.split(".")
    if kind not in FORMS or len(names) != FORMS[kind].count(".") or not all(names):
        raise InputError(f"work: expected one of {', '.join(FORMS.values())}, got {work!r}")
    return [kind, *names]


def _recipe(name: str, folders: Folders, compute: Compute) -> Recipe:
    params = Mine.read(f"mine.{name}")
    dataset, pool = (_existing(folders.datasets / one) for one in (params.dataset, params.pool))
    model, scorer = (_existing(folders.models / one) for one in (params.model, params.scorer))
    return Recipe(params, dataset, pool, model, scorer, folders.prompts, compute, read_value("seed"))


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder, found none; run the stage that writes it, or fix the name")
    return folder
