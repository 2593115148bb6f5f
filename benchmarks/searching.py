"""Speed and peak memory of nearest-neighbour search on made-up unit vectors of 384 dimensions, 200 neighbours a query.

    python -m benchmarks.searching [--full]

Exact search beside `faiss.knn` and sentence-transformers' `semantic_search`, and as a share of the rate at which the
machine multiplies matrices. --full goes to 1,000,000 documents and adds the indexes with their recall, which takes many
minutes. Each case has a process of its own.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import torch
from sentence_transformers.util import semantic_search

import stages  # noqa: F401  puts src/ on the path
from benchmarks.machine import case, run_apart, write_results
from retune.encoding.hardware import resolve_device
from retune.params.search import Flat, Graph, InvertedLists, Search, Torch
from retune.retrieval.index import build_index, recall

DIM, K, CENTRES = 384, 200, 1000
SIDE, REPEATS = 4096, 5  # of the matrix product that gives the machine's rate
BLOCK = 100_000  # documents made at a time
LISTS_PROBED = 16  # one of so many
GRAPH_DOCUMENTS = 100_000  # a graph of more takes too long to build
GRAPH = Graph(backend="faiss_hnsw", links=32, build_depth=100, search_depth=400, min_recall=0.0)
Report = dict[str, float]


def main(is_full: bool) -> None:
    """Measure, print and write the results."""
    cases = []
    for num_documents, num_queries in [(10**4, 10**4), (10**5, 10**4), (10**6, 10**4)] if is_full else [(10**5, 2000)]:
        cases += _exact_cases(num_documents, num_queries)
        if is_full and num_documents > 10**4:
            cases += _index_cases("faiss_ivf", num_documents, num_queries)
        if is_full and num_documents == GRAPH_DOCUMENTS:
            cases += _index_cases("faiss_hnsw", num_documents, num_queries)
    write_results("searching_full" if is_full else "searching", cases)


def _exact_cases(num_documents: int, num_queries: int) -> list[dict[str, object]]:
    """Compare exact search with its peers, in seconds, and with the machine, in rate."""
    name = f"search {num_documents:,} documents, {num_queries:,} queries"
    gflop = 2e-9 * num_documents * num_queries * DIM
    machine = _run("matrix_product", 0, 0)["gflop_per_s"]
    ours = _run("torch", num_documents, num_queries)
    cases = [
        case(f"{name} float32 matrix product 4096^3 just before", machine, "GFLOP/s"),
        case(f"{name} share of that rate in the products", gflop / ours["products_s"] / machine, "1 is all"),
        case(f"{name} share of that rate end to end", gflop / ours["search_s"] / machine, "1 is all"),
    ]
    for peer in ("faiss_knn", "semantic_search"):
        theirs = _run(peer, num_documents, num_queries)
        cases.append(_versus(f"{name} time beside {peer}", ours["search_s"], theirs["search_s"], "s"))
        cases.append(_versus(f"{name} peak memory beside {peer}", ours["peak_gb"], theirs["peak_gb"], "GB"))
    return cases


def _index_cases(backend: str, num_documents: int, num_queries: int) -> list[dict[str, object]]:
    name = f"search {num_documents:,} documents, {num_queries:,} queries, {backend}"
    found = _run(backend, num_documents, num_queries)
    units = {"build_s": "s", "search_s": "s", "peak_gb": "GB", "recall": "1 is all"}
    return [case(f"{name} {key}", found[key], unit) for key, unit in units.items()]


def _versus(name: str, ours: float, peer: float, unit: str) -> dict[str, object]:
    """Return a result of which less is better."""
    return case(name, ours, unit) | {"peer": round(peer, 2), "ratio": round(peer / ours, 2)}


def _run(method: str, num_documents: int, num_queries: int) -> Report:
    """Measure one method in a process of its own."""
    report = run_apart("searching", method, num_documents, num_queries)
    figures = ", ".join(f"{key} {value:.2f}" for key, value in report.items())
    print(f"{method:15} {num_documents:9,} documents {num_queries:6,} queries: {figures}", flush=True)
    return report


def run(method: str, num_documents: int, num_queries: int, out: str) -> None:
    """Measure one method and write what was found."""
    report = _machine_rate() if method == "matrix_product" else _search(method, num_documents, num_queries)
    Path(out).write_text(json.dumps(report), encoding="utf-8")


def _machine_rate() -> Report:
    device = resolve_device("auto")
    one, other, product = (torch.randn(SIDE, SIDE, device=device) for _ in range(3))
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        torch.mm(one, other, out=product)
        product[0, 0].item()  # waits for the device
        seconds.append(time.perf_counter() - start)
    return {"gflop_per_s": 2e-9 * SIDE**3 / min(seconds)}


def _search(method: str, num_documents: int, num_queries: int) -> Report:
    device = resolve_device("auto")
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CENTRES, DIM), dtype=np.float32)
    documents, queries = _unit_vectors(rng, centres, num_documents), _unit_vectors(rng, centres, num_queries)
    products = _time_products() if method == "torch" else []
    start = time.perf_counter()
    find = _finder(method, documents, device)
    report = {"build_s": time.perf_counter() - start}
    start = time.perf_counter()
    find(queries, K)
    report |= {"search_s": time.perf_counter() - start, "products_s": sum(products)}
    if method in ("faiss_ivf", "faiss_hnsw"):
        report["recall"] = recall(find, queries, documents, K, seed=0, device=device)
    return report


def _finder(method: str, documents: np.ndarray, device: torch.device) -> Callable[[np.ndarray, int], object]:
    if method == "faiss_knn":
        return lambda queries, k: faiss.knn(queries, documents, k, metric=faiss.METRIC_INNER_PRODUCT)
    if method == "semantic_search":
        return lambda queries, k: semantic_search(torch.from_numpy(queries), torch.from_numpy(documents), top_k=k)
    lists = 4 * int(len(documents) ** 0.5)
    settings: dict[str, Search] = {
        "torch": Torch(backend="torch"),
        "faiss_flat": Flat(backend="faiss_flat"),
        "faiss_ivf": InvertedLists(backend="faiss_ivf", lists=lists, probes=lists // LISTS_PROBED, min_recall=0.0),
        "faiss_hnsw": GRAPH,
    }
    return build_index(documents, settings[method], device)


def _unit_vectors(rng: np.random.Generator, centres: np.ndarray, count: int) -> np.ndarray:
    """Return vectors around centres, as texts are around topics."""
    vectors = np.empty((count, DIM), dtype=np.float32)
    for start in range(0, count, BLOCK):
        block = vectors[start : start + BLOCK]
        rng.standard_normal(out=block, dtype=np.float32)
        block *= 1.5
        block += centres[rng.integers(0, CENTRES, len(block))]
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


def _time_products() -> list[float]:
    """Let every matrix product append its seconds to the list returned."""
    seconds: list[float] = []

    def timed(product: Callable[..., torch.Tensor], *args: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        start = time.perf_counter()
        product(*args, out=out)
        if out.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        return out

    torch.mm = partial(timed, torch.mm)
    return seconds


if __name__ == "__main__":
    main("--full" in sys.argv[1:])
