"""Mine a share of a recipe's queries on one machine, and finish mining with what all shards found."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pyarrow as pa

from retune.core.files import json_hash
from retune.encoding.fingerprint import ModelFiles, machine
from retune.encoding.hardware import resolve_device
from retune.mining.candidates import NegativeCandidates
from retune.mining.inputs import load_models, read_inputs
from retune.mining.mine import mine_some
from retune.mining.miner import Found
from retune.mining.recipe import Recipe, run_recipe
from retune.models.directory import SETTINGS
from retune.sharding.shard import CODE, Result, Shard, Work, code_hash, files_hash

ARRAYS = [field.name for field in fields(NegativeCandidates)]


def mine_shard(name: str, recipe: Recipe, shard: Shard) -> Result:
    """Return the negatives of one share of the recipe's queries.

    Args:
        name: The name of the recipe.
        recipe: The recipe; vectors come from the embedding cache if they are there, so encode first.
        shard: Which share.
    """
    inputs = read_inputs(recipe.dataset, recipe.pool, recipe.params)
    models = load_models(recipe.model, recipe.scorer, recipe.dataset, recipe.compute)
    rows = shard.rows(len(inputs.queries))
    found = mine_some(inputs, models, recipe.params, rows, seed=recipe.seed)
    table = pa.table({column: getattr(found.negatives, column) for column in ARRAYS})
    facts = {
        "origins": found.origins,
        "counts": found.counts,
        "num_candidates": found.num_candidates,
        "short": found.short,
    }
    return Result(_work(name, recipe), shard, facts, lambda: table)


def finish_mining(name: str, recipe: Recipe, results: Sequence[Result], out: Path, metrics: Path) -> str:
    """Write what the stage `mine` would write, with the negatives of all shards; return what was done.

    Raises:
        InputError: The shards were mined with other code, parameters, data or models than are here; or as in `mine`.
    """
    _work(name, recipe).check(results[0].work)
    found = [_found(result) for result in results]
    run_recipe(recipe, out, metrics, found=found)
    count = sum(len(part.negatives) for part in found)
    return f"{name}: {count:,} negatives of {len(results)} shards are in {out}; record them with dvc commit mine@{name}"


def _found(result: Result) -> Found:
    table = result.read()
    arrays = {column: table[column].to_numpy() for column in ARRAYS}
    return Found(NegativeCandidates(**arrays), **result.facts)


def _work(name: str, recipe: Recipe) -> Work:
    models = [ModelFiles.of(folder) for folder in (recipe.model, recipe.scorer)]
    settings = [(folder / SETTINGS).read_text(encoding="utf-8") for folder in (recipe.model, recipe.scorer)]
    parameters = [recipe.params.model_dump(mode="json"), recipe.seed, recipe.compute.token_budget]
    hashes = {
        "code": code_hash(CODE),
        "parameters": json_hash(parameters),
        "data": json_hash([files_hash(recipe.dataset), files_hash(recipe.pool)]),
        "models": json_hash([[[files.sha256, files.engine] for files in models], settings]),
        "machine": json_hash(machine(resolve_device(recipe.compute.device))),
    }
    return Work(f"mine.{name}", hashes)
