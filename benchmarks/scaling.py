"""Measure how encoding and exact search grow with documents, queries and dimensions, and what vectors take on disk.

    python -m benchmarks.scaling [--full] [--model DIR]

Search runs over random unit vectors. Encoding runs a model in float32, as `eval` does, over texts of eighty made-up
words, and writes the embedding cache. Each size has a process of its own. --full goes up to a million documents.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import stages  # noqa: F401  puts src/ on the path
from benchmarks.machine import case, run_apart, write_results
from retune.encoding.compute import Cache, Compute
from retune.encoding.encoder import Encoder
from retune.retrieval.exact import top_k

SIZES = [  # documents, queries, dimensions: each grows alone
    (30_000, 1_000, 384), (100_000, 1_000, 384), (300_000, 1_000, 384),
    (100_000, 300, 384), (100_000, 3_000, 384),
    (100_000, 1_000, 128), (100_000, 1_000, 768),
]  # fmt: skip
LARGE = (1_000_000, 1_000, 384)
ENCODED = (500, 2_000, 8_000)
WORDS_A_TEXT = 80
K, SEED = 100, 13


def main() -> None:
    """Measure each size, print the figures and write the results."""
    parser = argparse.ArgumentParser(description="Measure growth.")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--model", type=Path, default=Path("models/minilm"))
    options = parser.parse_args()
    cases = []
    for documents, queries, dim in [*SIZES, *([LARGE] if options.full else [])]:
        name = f"search {documents:,} documents of {dim} dimensions for {queries:,} queries"
        cases += _cases(name, run_apart("scaling", "search", documents, queries, dim, ""))
    for count in ENCODED:
        cases += _cases(f"encode {count:,} texts", run_apart("scaling", "encode", count, 0, 0, str(options.model)))
    write_results("scaling", cases)


def _cases(name: str, report: dict[str, float]) -> list[dict[str, object]]:
    print(f"{name:70} {report['seconds']:8.2f} s {report['peak_gb']:6.2f} GB {report['mb']:9.1f} MB", flush=True)
    return [
        case(f"{name} time", report["seconds"], "s"),
        case(f"{name} peak memory", report["peak_gb"], "GB"),
        case(f"{name} size", report["mb"], "MB"),
    ]


def run(task: str, count: int, queries: int, dim: int, model: str, out: str) -> None:
    """Write the seconds of one task, and the megabytes of the vectors that it reads or writes."""
    report = _search(count, queries, dim) if task == "search" else _encode(count, Path(model))
    Path(out).write_text(json.dumps(report), encoding="utf-8")


def _search(count: int, queries: int, dim: int) -> dict[str, float]:
    rng = np.random.default_rng(SEED)
    documents, asked = (_unit(rng, rows, dim) for rows in (count, queries))
    top_k(asked[:10], documents[:1000], K, device=torch.device("cpu"))  # starts the threads
    started = time.perf_counter()
    top_k(asked, documents, K, device=torch.device("cpu"))
    return {"seconds": time.perf_counter() - started, "mb": documents.nbytes / 1e6}


def _unit(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    vectors = rng.standard_normal((rows, dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _encode(count: int, model: Path) -> dict[str, float]:
    rng = np.random.default_rng(SEED)
    words = np.array(["".join(letters) for letters in rng.choice(list("aeioulmnrst"), (2000, 6))])
    texts = [" ".join(rng.choice(words, WORDS_A_TEXT)) for _ in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        compute = Compute(device="cpu", token_budget=4096, cache=Cache(folder=Path(folder), max_gb=10.0))
        encoder = Encoder.load(model, compute, dtype="float32")
        encoder.encode_queries(["start"], [None])  # loads the model
        started = time.perf_counter()
        encoder.encode_documents(texts)
        seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return {"seconds": seconds, "mb": size / 1e6}


if __name__ == "__main__":
    main()
