"""What each filter and each kind of synthetic query is worth: models tuned without it, on real test queries.

    python -m benchmarks.synthesis NAME [--seeds 13 14]

NAME is an entry of `synthesize` in params.yaml, with a recipe of the same name in `mine` and one tuned model whose
`data` it is. `dvc repro` must have made the data set and fetched the models; replies of a language model that are kept
are not asked for again. Each row is one training for each seed: with all filters, with each of them off in turn, with
none, and with the queries of each kind alone. The table has the change of nDCG@10 from the base, with its standard
error over the queries, in the number format of mining.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

import stages  # noqa: F401  puts src/ on the path
from retune.core.errors import InputError
from retune.core.params_file import read_params
from retune.core.records import Dataset, Split, read_corpus, read_split, write_dataset, write_mined
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.mining.inputs import load_models, read_inputs
from retune.mining.mine import mine
from retune.params.finetune import Finetune
from retune.params.mine import Mine
from retune.params.synthesize import Synthesize
from retune.synthesis import synthesize
from retune.training.dev_scoring import evaluate
from retune.training.finetune import finetune
from retune.training.spec import Task

DATASETS, MODELS, PROMPTS = Path("data/datasets"), Path("models"), Path("prompts")
K = 10


class Variant(NamedTuple):
    """A row: the parameters of the queries, and the kind to keep, all if it is empty."""

    name: str
    params: Synthesize
    kind: str = ""


def variants(params: Synthesize) -> Iterator[Variant]:
    """Yield the entry as it is, without each filter in turn, without any, and with each kind alone."""
    yield Variant("all filters", params)
    filters = params.filters
    if filters is not None:
        for name in type(filters).model_fields:
            if getattr(filters, name):
                off = filters.model_copy(update={name: False if name == "language" else None})
                yield Variant(f"without {name}", params.model_copy(update={"filters": off}))
        yield Variant("without any", params.model_copy(update={"filters": None}))
    for kind in sorted(kind for kind, share in params.kinds.items() if share):
        yield Variant(f"{kind} alone", params, kind)


def made(params: Synthesize, seed: int, compute: Compute) -> Dataset:
    """Return a synthetic data set."""
    task = synthesize.Task(DATASETS / params.dataset, MODELS / params.model, PROMPTS, params, compute, seed)
    return synthesize.synthesize(task).dataset


def of_kind(split: Split, kind: str) -> Split:
    """Return the queries of one kind; the stage does not write the kinds, but the frame has them."""
    queries = split.queries[split.queries["kind"] == kind]
    qrels = split.qrels[split.qrels["query_id"].isin(queries["query_id"])]
    return Split(queries.reset_index(drop=True), qrels.reset_index(drop=True))


def tune(dataset: Dataset, name: str, model: Finetune, seed: int, compute: Compute, folder: Path) -> Path:
    """Mine for the queries of a data set and tune on them; return the model's folder."""
    recipe = Mine.read(f"mine.{name}")
    data, base = folder / "data", MODELS / model.base
    write_dataset(data, dataset)
    encoders = load_models(MODELS / recipe.model, MODELS / recipe.scorer, data, compute)
    mined, _ = mine(read_inputs(data, data, recipe), *encoders, recipe, seed=read_value("seed"), prompts=PROMPTS)
    write_mined(folder / "mined", mined)
    task = Task(base, folder / "mined", data, model, compute, seed, MODELS / (model.guide or model.base))
    finetune(task, folder / "model", folder / "history.tsv")
    return folder / "model"


def scores(model: Path, dataset: str, compute: Compute) -> np.ndarray:
    """Return nDCG@10 of each real test query."""
    source = DATASETS / dataset
    encoder = Encoder.load(model, compute)
    return evaluate(encoder, read_corpus(source), read_split(source, "test"), [K])[f"ndcg_at_{K}"].to_numpy()


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Measure what filters and kinds are worth.")
    parser.add_argument("name")
    parser.add_argument("--seeds", type=int, nargs="+", default=[13])
    options = parser.parse_args()
    try:
        measure(options.name, options.seeds)
    except InputError as error:
        raise SystemExit(f"error: {error}") from None


def measure(name: str, seeds: Sequence[int]) -> None:
    """Measure and print the table of a synthetic data set.

    Raises:
        InputError: There is no such entry, no model tuned on it, or an output of the chain is missing.
    """
    params, compute = Synthesize.read(f"synthesize.{name}"), Compute.read("compute")
    tuned = [model for model, entry in read_params()["finetune"].items() if entry["data"] == name]
    if not tuned:
        raise InputError(f"params.yaml: finetune: expected a model with data: {name}, found none; add it")
    model = Finetune.read(f"finetune.{tuned[0]}")
    base = scores(MODELS / model.base, params.dataset, compute)
    print(f"base {base.mean():.4f}, {len(base):,} test queries\n")
    print(f"| row | train queries |{' change | standard error |' * len(seeds)}")
    print(f"|---|---:|{'---:|---:|' * len(seeds)}")
    whole = made(params, read_value("seed"), compute)
    for variant in variants(params):
        if variant.kind:
            splits = {split: of_kind(queries, variant.kind) for split, queries in whole.splits.items()}
            dataset = replace(whole, splits=splits)
        else:
            dataset = whole if variant.params is params else made(variant.params, read_value("seed"), compute)
        cells = _cells(dataset, name, model, seeds, compute, base)
        print(f"| {variant.name} | {len(dataset.splits['train'].queries):,} |{cells}", flush=True)


def _cells(
    dataset: Dataset, name: str, model: Finetune, seeds: Sequence[int], compute: Compute, base: np.ndarray
) -> str:
    """Return the changes and standard errors on the test queries of the source, of one model for each seed."""
    source = Synthesize.read(f"synthesize.{name}").dataset
    cells = ""
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            tuned = tune(dataset, name, model, seed, compute, Path(folder))
            change = scores(tuned, source, compute) - base
        cells += f" {change.mean():+.4f} | {change.std(ddof=1) / len(change) ** 0.5:.4f} |"
    return cells


if __name__ == "__main__":
    main()
