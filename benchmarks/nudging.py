"""Time and peak memory of nudging: 400,000 documents of 512 dimensions, 180,000 training and 2,000 dev queries.

    python -m benchmarks.nudging

The vectors are made up: a document's queries are off to one side of it. The seconds include the directions, the choice
of the step size and the move. A smaller collection is also nudged the slow way, by moving, searching and scoring at one
step size after another: at the 91 that variant n tries, and at 91 from 0 to 2 for variant m. Each case has a process of
its own.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import stages  # noqa: F401  puts src/ on the path
from benchmarks.machine import case, run_apart, write_results
from retune.core.records import Split
from retune.evaluation.metrics import score_ranking
from retune.retrieval.exact import top_k
from retune.training.nudging.directions import find_directions
from retune.training.nudging.gamma import choose_gamma
from retune.training.nudging.grid import GAMMAS
from retune.training.nudging.judgments import Judgments
from retune.training.nudging.moves import Variant, move

DIM, TOPICS, METRIC = 512, 1000, "ndcg_at_10"
FULL = (400_000, 180_000, 2000)  # documents, training queries, dev queries
SMALL = (20_000, 9000, 500)
ASIDE, NOISE = 3.0, 4.0  # how far queries are from their document
BLOCK = 100_000  # vectors made at a time
SAME = 1e-3  # of a mean score: a search rounds vectors to float32
STEPS: dict[Variant, list[float]] = {"m": np.linspace(0, 2, len(GAMMAS)).tolist(), "n": GAMMAS}
Report = dict[str, float]


def main() -> None:
    """Measure, print and write the results."""
    cases = []
    for variant, steps in STEPS.items():
        for size in (FULL, SMALL):
            ours = _run("nudge", variant, size)
            cases += _cases(f"variant {variant}, {size[0]:,} documents", ours)
        direct = _run("direct", variant, SMALL)
        if ours["score"] < direct["score"] - SAME:
            raise SystemExit(f"error: variant {variant}: expected a score of {direct['score']}, got {ours['score']}")
        cases += _cases(f"variant {variant}, {SMALL[0]:,} documents, {len(steps)} step sizes one by one", direct)
    write_results("nudging", cases)


def _cases(name: str, found: Report) -> list[dict[str, object]]:
    return [case(f"{name} time", found["seconds"], "s"), case(f"{name} peak memory", found["peak_gb"], "GB")]


def _run(method: str, variant: Variant, size: tuple[int, int, int]) -> Report:
    """Measure one method in a process of its own."""
    report = run_apart("nudging", method, variant, size)
    figures = ", ".join(f"{key} {value:.4f}" for key, value in report.items())
    print(f"{method:8} variant {variant} {size[0]:9,} documents: {figures}", flush=True)
    return report


def run(method: str, variant: Variant, size: tuple[int, int, int], out: str) -> None:
    """Nudge made-up documents and write the seconds and the scores."""
    data = made_up(*size)
    start = time.perf_counter()
    directions = find_directions(data.train, np.arange(len(data.train)), data.answers)
    if method == "nudge":
        choice = choose_gamma(data.documents, directions, data.dev, data.judgments, METRIC, variant)
        moved = move(data.documents, directions, choice.gamma, variant)
        report = {"gamma": choice.gamma, "score": choice.score, "base": choice.base_score, "tied": choice.tied}
        report |= {"candidates": choice.candidates, "seconds": time.perf_counter() - start}
        report["measured"] = _measure(data, moved)
    else:
        scores = [_measure(data, move(data.documents, directions, gamma, variant)) for gamma in STEPS[variant]]
        report = {"score": max(scores), "base": scores[0], "seconds": time.perf_counter() - start}
    Path(out).write_text(json.dumps(report), encoding="utf-8")


@dataclass(frozen=True)
class Made:
    """Made-up vectors; `answers` are the positions of the documents that training queries ask for."""

    documents: np.ndarray
    train: np.ndarray
    answers: np.ndarray
    dev: np.ndarray
    judgments: Judgments


def made_up(num_documents: int, num_train: int, num_dev: int) -> Made:
    """Return documents around topics, training queries, and dev queries with two relevant documents."""
    rng = np.random.default_rng(0)
    topics, sides = (rng.standard_normal((TOPICS, DIM), dtype=np.float32) for _ in range(2))
    documents = _around(rng, topics / 1.5, rng.integers(0, TOPICS, num_documents))
    answers = rng.integers(0, num_documents, num_train)
    relevant = rng.integers(0, num_documents, (num_dev, 2))
    relevant[:, 1] = (relevant[:, 0] + 1 + relevant[:, 1] % (num_documents - 1)) % num_documents
    train, dev = (_around(rng, sides * (ASIDE / NOISE), asked % TOPICS) for asked in (answers, relevant[:, 0]))
    for queries, asked in ((train, answers), (dev, relevant[:, 0])):
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            block *= (ASIDE**2 + NOISE**2) ** 0.5
            block += documents[asked[start : start + BLOCK]]
            block /= np.linalg.norm(block, axis=1, keepdims=True)
    grades = np.tile([2, 1], num_dev)
    return Made(
        documents, train, answers, dev, Judgments(np.repeat(np.arange(num_dev), 2), relevant.ravel(), grades, num_dev)
    )


def _around(rng: np.random.Generator, centres: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return unit vectors around the chosen centres."""
    vectors = np.empty((len(chosen), DIM), dtype=np.float32)
    for start in range(0, len(chosen), BLOCK):
        block = vectors[start : start + BLOCK]
        rng.standard_normal(out=block, dtype=np.float32)
        block += centres[chosen[start : start + BLOCK]]
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


def _measure(data: Made, moved: np.ndarray) -> float:
    """Search the moved documents and return the mean of the metric."""
    _, ranking = top_k(data.dev, moved, 10, device=torch.device("cpu"))
    doc_ids = pd.Series(np.arange(len(moved)))
    judged = {"query_id": data.judgments.rows, "doc_id": data.judgments.positions, "relevance": data.judgments.grades}
    split = Split(pd.DataFrame({"query_id": np.arange(len(data.dev))}), pd.DataFrame(judged))
    return float(score_ranking(ranking, doc_ids, split, [10])[METRIC].mean())


if __name__ == "__main__":
    main()
