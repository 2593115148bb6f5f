"""Merge a base with models tuned from it: score each weight on dev queries, choose one, and write the model."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from retune.core.errors import InputError
from retune.core.files import atomic_directory, write_json
from retune.core.records import Split, read_corpus, read_split
from retune.encoding.encoder import Encoder
from retune.evaluation.metrics import parse_metric
from retune.merging.card import write_card
from retune.merging.choice import Point, choose, metrics, read_curve
from retune.merging.task import Task
from retune.merging.weights import Mergeable
from retune.params.merge import SEARCHED, Merge
from retune.training.dev_scoring import evaluate, sample_dev_corpus

LOG = logging.getLogger(__name__)


def merge(task: Task, out: Path, curve: Path) -> None:
    """Write the merged model to `out`, and what each weight does on dev queries to `curve`.

    A search that finds no weight within the margin writes the base, and says so.

    Raises:
        InputError: The models cannot be merged, or a data set has too few dev queries.
    """
    params = task.params
    names = (params.dev, *params.guards)
    dev = {name: _read_dev(folder, task) for name, folder in zip(names, task.datasets, strict=True)}
    models = Mergeable(task.base, task.tuned)
    weights = SEARCHED if params.weight == "search" else sorted({0.0, params.weight, 1.0})
    scores: dict[float, dict[str, np.ndarray]] = {}
    scratch = out.with_name(f".{out.name}.merging")  # the model of one weight at a time
    for weight in tqdm(weights, desc="weights", unit="model", leave=False, disable=None):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        models.write(weight, scratch)
        encoder = Encoder.load(scratch, task.compute, devices=())
        scores[weight] = {name: _score(encoder, *data, params.metric) for name, data in dev.items()}
    shutil.rmtree(scratch)
    points = read_curve(scores, params)
    chosen = choose(points) if params.weight == "search" else _at(points, params.weight)
    _say(points, chosen, params)
    write_json(curve, metrics(points, chosen, params))
    with atomic_directory(out) as partial:
        models.write(chosen.weight, partial)
        write_card(partial, out.name, task, points, chosen)


def _read_dev(folder: Path, task: Task) -> tuple[pd.DataFrame, Split]:
    """Return the documents to rank, and the dev split."""
    dev = read_split(folder, "dev")
    if len(dev.queries) < 2:
        raise InputError(
            f"{folder}: expected at least two dev queries, got {len(dev.queries)}; raise convert.{folder.name}.dev"
        )
    corpus = read_corpus(folder)
    if task.params.documents is not None:
        judged = corpus["doc_id"].isin(dev.qrels["doc_id"]).to_numpy()
        corpus = sample_dev_corpus(corpus, judged, task.params.documents, seed=task.seed)
    return corpus, dev


def _score(encoder: Encoder, corpus: pd.DataFrame, dev: Split, metric: str) -> np.ndarray:
    """Return the score of each dev query, (queries,)."""
    _, k = parse_metric(metric)
    scores: np.ndarray = evaluate(encoder, corpus, dev, [k])[metric].to_numpy(dtype=float)
    return scores


def _at(points: Sequence[Point], weight: float) -> Point:
    return next(point for point in points if point.weight == weight)


def _say(points: Sequence[Point], chosen: Point, params: Merge) -> None:
    """Log the curve, how many queries a bound would need, and the choice."""
    for point in points:
        guards = ", ".join(
            f"{guard.dataset} {guard.change:+.4f} (lower bound {guard.bound:+.4f}, {_needed(guard.queries_needed)})"
            for guard in point.guards
        )
        LOG.info("weight %g: %s %+.4f; %s", point.weight, params.dev, point.home.change, guards)
    LOG.info("weight %g: gain at home %+.4f, worst guard %+.4f", chosen.weight, chosen.home.change, chosen.worst)
    if params.weight != "search":
        if not chosen.is_allowed:
            LOG.warning("weight %g: a guard falls by more than %g", chosen.weight, params.margin)
    elif chosen.weight == 0.0:
        is_allowed = any(point.is_allowed for point in points if point.weight > 0.0)
        lost = f"every other weight loses more than {params.margin:g} on a guard"
        LOG.warning(
            "the merged model is the base itself: %s (rule %s); raise the margin, tune more gently, or guard others",
            "no weight gains at home within the margin" if is_allowed else lost,
            params.rule,
        )


def _needed(queries: int | None) -> str:
    return "no number of queries would do" if queries is None else f"{queries:,} queries needed for the bound"
