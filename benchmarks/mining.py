"""Mining beside its peers: seconds from loaded libraries to written negatives, and peak memory.

    python -m benchmarks.mining [--full] [--data FOLDER]
    python -m benchmarks.mining --growth

The same model, texts, lengths, ranks and number of negatives for retune, for sentence-transformers and for the
script of FlagEmbedding; all else as shipped. In its `first` run retune has no vectors cached, in its `second` those
of the first, and another recipe. FOLDER holds the folders eedi and nfcorpus as their authors publish
them; what is absent is left out. The default run takes samples, --full all of them. --growth mines alone: of 10,000 to
100,000 documents made up, and of 1,000,000 whose vectors are made up. Each run has a process of its own.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks import peers
from benchmarks.machine import case, write_results

REPEATS = 3
SLOW_S = 45.0  # a method that takes longer runs once
GROWTH = (10_000, 30_000, 100_000)  # documents, with a tenth as many queries
SIMULATED = 1_000_000  # documents, with a hundredth as many queries
RECIPE: dict[str, Any] = {
    "dataset": "benchmark", "pool": "benchmark", "model": "minilm", "scorer": "minilm", "negatives_from": "mined",
    "ranking": "dense", "search": {"backend": "torch"}, "range": [peers.FIRST, peers.STOP],
    "negatives": peers.NEGATIVES, "sampling": "uniform", "near_duplicate": 0.7, "shortage": "random",
}  # fmt: skip
SECOND: dict[str, Any] = {"range": [10, 100], "negatives": 7, "limits": {"percent_of_positive": 0.95}}
Report = dict[str, float]


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description="Measure mining beside its peers.")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    cases: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _call("fetch_model", str(root / "model"))
        if options.growth:
            return write_results("mining_growth", _growth(root))
        for name in ("eedi", "nfcorpus", "python_docs"):
            if _call("prepare", name, str(options.data), str(root / name), options.full)["is_there"]:
                cases += _beside_peers(name, root / name)
    write_results("mining_full" if options.full else "mining", cases)


def _beside_peers(name: str, folder: Path) -> list[dict[str, object]]:
    """Measure all methods on one data set, in turn."""
    reports: dict[str, list[Report]] = defaultdict(list)
    for _ in range(REPEATS):
        shutil.rmtree(folder / "cache", ignore_errors=True)
        for method in METHODS:
            if all(report["seconds"] <= SLOW_S for report in reports[method]):
                reports[method].append(_call("run", method, str(folder)))
    for method, found in reports.items():
        seconds = ", ".join(f"{report['seconds']:.2f}" for report in found)
        print(f"{name:12} {method:22} {seconds} s; {_median(found, 'peak_gb'):.2f} GB", flush=True)
    prefix = "" if name == "eedi" else f"{name}_"  # the headline's names are fixed
    cases = []
    for peer in ("sentence_transformers", "flagembedding"):
        theirs = reports[peer]
        for case_name, ours, key, unit in (
            (f"{prefix}mine_vs_{peer}", "first", "seconds", "s"),
            (f"{prefix}mine_memory_vs_{peer}", "first", "peak_gb", "GB"),
            (f"{prefix}second_mine_vs_{peer}", "second", "seconds", "s"),
        ):
            cases.append(_versus(case_name, _median(reports[ours], key), _median(theirs, key), unit))
    return cases


def _growth(root: Path) -> list[dict[str, object]]:
    """Measure our runs on more and more documents."""
    cases, seconds = [], {}
    for count in GROWTH:
        folder = root / f"made_up_{count}"
        _call("prepare_made_up", count, str(folder))
        for method in ("first", "second"):
            report = _call("run", method, str(folder))
            seconds[method, count] = report["seconds"]
            cases += _alone(f"growth {method} mine of {count:,} documents", report)
    few, many = GROWTH[0], GROWTH[-1]
    for method in ("first", "second"):
        growth = seconds[method, many] / seconds[method, few] * few / many
        cases.append(case(f"growth {method} mine, seconds a document, {few:,} to {many:,}", growth, "1 is linear"))
    return cases + _alone(f"simulated mine of {SIMULATED:,} given vectors", _call("run_simulated", SIMULATED))


def _alone(name: str, report: Report) -> list[dict[str, object]]:
    print(f"{name:50} {report['seconds']:8.2f} s {report['peak_gb']:6.2f} GB", flush=True)
    return [case(f"{name} time", report["seconds"], "s"), case(f"{name} peak memory", report["peak_gb"], "GB")]


def _versus(name: str, ours: float, peer: float, unit: str) -> dict[str, object]:
    """Print and return a result of which less is better."""
    ratio = round(peer / ours, 2)
    print(f"{name:50} {ours:8.2f} {peer:8.2f} {unit:2} {ratio:7.1f} x", flush=True)
    return case(name, ours, unit) | {"peer": round(peer, 2), "ratio": ratio}


def _median(reports: Sequence[Report], key: str) -> float:
    return statistics.median(report[key] for report in reports)


def _call(function: str, *arguments: object) -> Report:
    """Call a function of this module in a process of its own; return the JSON in the last line it prints."""
    code = f"from benchmarks import mining; mining.{function}(*{arguments!r})"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if process.returncode:
        raise SystemExit(f"error: exit status {process.returncode} of {function}{arguments}:\n{process.stderr[-2000:]}")
    report: Report = json.loads(process.stdout.splitlines()[-1])
    return report


def fetch_model(out: str) -> None:
    """Write the model."""
    from benchmarks import mining_sets

    mining_sets.fetch_model(Path(out))
    print("{}")


def prepare(name: str, data: str, out: str, is_full: bool) -> None:
    """Write a data set, and print whether it is there."""
    from benchmarks import mining_sets

    is_there = mining_sets.raw_place(name, Path(data)).exists()
    if is_there:
        mining_sets.prepare(name, Path(data), Path(out), is_full)
    print(json.dumps({"is_there": is_there}))


def prepare_made_up(count: int, out: str) -> None:
    """Write a data set made up."""
    from benchmarks import mining_sets

    mining_sets.prepare_made_up(count, Path(out))
    print("{}")


def run(method: str, folder: str) -> None:
    """Mine by one method and print what it took."""
    mine = METHODS[method]()
    start = time.perf_counter()
    mine(Path(folder), Path(folder).with_name("model"), Path(folder, f"mined_{method}"))
    _print_report(start)


def run_simulated(num_documents: int) -> None:
    """Mine with vectors that are given, and print what it took."""
    import torch

    from benchmarks.mining_sets import SEED, answered
    from retune.mining.inputs import gather
    from retune.mining.mine import mine
    from retune.params.mine import Mine

    class Given:
        """Stands in for an encoder: vectors without meaning, in no time."""

        device = torch.device("cpu")
        truncated: ClassVar[dict[str, int]] = {}

        def encode_documents(self, texts: Sequence[str], *, ids: object) -> np.ndarray:
            vectors = np.random.default_rng(len(texts)).standard_normal((len(texts), 384), dtype=np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            return vectors

        def encode_queries(self, texts: Sequence[str], prompts: object, *, ids: object) -> np.ndarray:
            return self.encode_documents(texts, ids=ids)

    params = Mine.parse("mine.benchmark", RECIPE)
    documents = [
        f"Document number {number} holds {number % 1000} and {number % 977}." for number in range(num_documents)
    ]
    corpus, train = answered(documents, num_documents // 100)
    given: Any = Given()
    start = time.perf_counter()
    mine(gather(corpus, train, None, params), given, given, params, seed=SEED)
    _print_report(start)


def _print_report(start: float) -> None:
    """Print the seconds since `start` and the peak of this process, which forgets nothing it imported."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"seconds": time.perf_counter() - start, "peak_gb": peak / 2**30}))


def _retune(recipe: dict[str, Any]) -> peers.Mine:
    """Mine as stage `mine` does, with a cache of vectors in the folder."""
    import stages  # noqa: F401  puts src/ on the path
    from retune.core import files, records
    from retune.encoding.compute import Cache, Compute
    from retune.mining import audit
    from retune.mining import mine as mining
    from retune.mining.inputs import load_models, read_inputs
    from retune.params.mine import Mine

    def mine(folder: Path, model: Path, out: Path) -> None:
        dataset, cache = folder / "dataset", Cache(folder=folder / "cache", max_gb=10.0)
        params = Mine.parse("mine.benchmark", recipe)
        compute = Compute(device="auto", token_budget=4096, cache=cache)
        inputs = read_inputs(dataset, dataset, params)
        models = load_models(model, model, dataset, compute)
        mined, outcome = mining.mine(inputs, *models, params, seed=0)
        records.write_mined(out, mined, suspects=audit.suspects(inputs, outcome))
        files.write_json(out.with_suffix(".json"), audit.audit(inputs, outcome, params))

    return mine


METHODS: dict[str, Callable[[], peers.Mine]] = {
    "first": lambda: _retune(RECIPE),
    "second": lambda: _retune(RECIPE | SECOND),
    "sentence_transformers": peers.sentence_transformers,
    "flagembedding": peers.flagembedding,
}

if __name__ == "__main__":
    main()
