"""Queries that a tuned model answers better or worse than its base: relevant documents, their ranks, the first hit."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from retune.comparison.lineage import TunedModel
from retune.comparison.score_tables import ScoreTable
from retune.comparison.test_sets import JudgedQueries
from retune.comparison.verdict import printed
from retune.params.compare import Compare
from retune.retrieval.trec_runs import RunRanks, look_up

WANTED = 10  # relevant documents shown of a query: those ranked highest


@dataclass(frozen=True)
class Wanted:
    """A relevant document of a query and its ranks, counted from 1; None if a model did not find it."""

    doc_id: str
    base_rank: int | None
    rank: int | None


@dataclass(frozen=True)
class QueryChange:
    """A query whose score changed.

    Attributes:
        model: The tuned model.
        dataset: The data set.
        query_id: The query.
        base_score: The base's score.
        score: The tuned model's score.
        change: The difference.
        wanted: Relevant documents, at most ten.
        num_relevant: Number of relevant documents.
        found: The document that the tuned model ranks first, or None if it found nothing.
        is_relevant: Whether `found` is relevant.
    """

    model: str
    dataset: str
    query_id: str
    base_score: float
    score: float
    change: float
    wanted: list[Wanted]
    num_relevant: int
    found: str | None
    is_relevant: bool


def most_changed(table: ScoreTable, tuned_models: Mapping[str, TunedModel], params: Compare) -> dict[str, np.ndarray]:
    """Return the rows of the queries that changed most, by tuned model; the largest change is first."""
    chosen = {}
    for model in table.models:
        if model in tuned_models:
            size = np.abs(table.change(model, tuned_models[model].base, params.metric))
            order = np.argsort(-size, kind="stable")[: params.changed_queries]
            chosen[model] = order[size[order] > 0.0]
    return chosen


def query_changes(
    table: ScoreTable, tuned_models: Mapping[str, TunedModel], test: JudgedQueries, folder: Path, params: Compare
) -> list[QueryChange]:
    """Look up the queries that changed most in the run files `<model>/<dataset>.trec` of a folder.

    Raises:
        InputError: A run file is missing or broken.
    """
    chosen = most_changed(table, tuned_models, params)
    asked: dict[str, set[int]] = {}  # rows of the queries to look up, by model
    for name, rows in chosen.items():
        for model in (tuned_models[name].base, name):
            asked.setdefault(model, set()).update(rows.tolist())
    relevant = test.relevant[test.relevant["query_id"].isin(table.query_ids[sorted(set().union(*asked.values()))])]
    wanted: dict[str, list[str]] = {}
    for query_id, doc_id in zip(relevant["query_id"], relevant["doc_id"], strict=True):
        wanted.setdefault(query_id, []).append(doc_id)
    found = _look_up_all(folder, table, relevant, asked)
    changes = []
    for name, rows in chosen.items():
        base = tuned_models[name].base
        before, after = table.of(base, params.metric), table.of(name, params.metric)
        for row in rows:
            query_id = table.query_ids[row]
            first = found[name].first.get(query_id)
            answers = _ranked(query_id, wanted.get(query_id, []), found[base], found[name])
            change = QueryChange(
                model=name,
                dataset=table.dataset,
                query_id=query_id,
                base_score=printed(before[row]),
                score=printed(after[row]),
                change=printed(after[row] - before[row]),
                wanted=answers[:WANTED],
                num_relevant=len(answers),
                found=first,
                is_relevant=first in wanted.get(query_id, []),
            )
            changes.append(change)
    return changes


def _look_up_all(
    folder: Path, table: ScoreTable, relevant: pd.DataFrame, asked: Mapping[str, set[int]]
) -> dict[str, RunRanks]:
    """Look up the given rows of each model, in several run files at a time."""
    models = [model for model, rows in asked.items() if rows]
    paths = [folder / model / f"{table.dataset}.trec" for model in models]
    query_ids = [table.query_ids[sorted(asked[model])] for model in models]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(models, pool.map(look_up, paths, [relevant] * len(models), query_ids), strict=True))


def _ranked(query_id: str, doc_ids: Sequence[str], before: RunRanks, after: RunRanks) -> list[Wanted]:
    """Return a query's relevant documents, sorted by the rank under the tuned model, then by that under its base."""
    wanted = [
        Wanted(doc_id, before.ranks.get((query_id, doc_id)), after.ranks.get((query_id, doc_id))) for doc_id in doc_ids
    ]
    return sorted(wanted, key=lambda document: (document.rank or np.inf, document.base_rank or np.inf))
