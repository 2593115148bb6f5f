"""A recipe from its files to its files: what the stage `mine` does, in one machine or with what several found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from retune.core import files, provenance, records
from retune.encoding.compute import Compute
from retune.mining.audit import audit, tables
from retune.mining.inputs import load_models, read_inputs
from retune.mining.mine import complete
from retune.mining.miner import Found
from retune.params.mine import Mine


@dataclass(frozen=True)
class Recipe:
    """A recipe, and where what it names is.

    Attributes:
        params: The recipe.
        dataset: The folder of the data set.
        pool: That of the data set whose documents are ranked.
        model: The directory of the model that ranks.
        scorer: That of the model that scores.
        prompts: The folder of prompt files.
        compute: The hardware.
        seed: The seed of everything random.
    """

    params: Mine
    dataset: Path
    pool: Path
    model: Path
    scorer: Path
    prompts: Path
    compute: Compute
    seed: int


def run_recipe(recipe: Recipe, out: Path, metrics: Path, *, found: Sequence[Found] | None = None) -> None:
    """Write the mined set to a folder, and its audit to a file.

    Args:
        recipe: The recipe.
        out: The folder.
        metrics: The file.
        found: As in `complete`.
    """
    inputs = read_inputs(recipe.dataset, recipe.pool, recipe.params)
    models = load_models(recipe.model, recipe.scorer, recipe.dataset, recipe.compute)
    mined, outcome = complete(inputs, models, recipe.params, found, seed=recipe.seed, prompts=recipe.prompts)
    paths = (recipe.dataset, recipe.pool, recipe.model, recipe.scorer)
    origins = [origin for path in paths for origin in provenance.read_origins(path)]
    records.write_mined(out, replace(mined, origins=origins), **tables(inputs, outcome))
    files.write_json(metrics, audit(inputs, outcome, recipe.params))
