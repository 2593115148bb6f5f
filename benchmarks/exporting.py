"""Latency of one query and rate of documents for every export of a model, beside the model itself, on a CPU.

    python -m benchmarks.exporting [MODEL ...] [--dataset FOLDER]

MODEL is the folder of a model of the pipeline, such as models/minilm; without one it is MiniLM. Its exports are made in
a temporary folder; those whose packages are missing are left out. The texts are those of a data set, such as
data/datasets/sympy; without one, the documentation strings of installed packages.

The model in float32 in plain sentence-transformers, in retune's encoder in float32 and in bfloat16, and each export in
retune's encoder take turns, three times, each in a process of its own; the figures are medians. Before the clock
starts, a model is loaded and asked some queries. Nothing is cached.
"""

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import stages  # noqa: F401  puts src/ on the path
from benchmarks.encoding import DOCUMENTATION, MINILM
from benchmarks.machine import RESULTS, case, run_apart, write_results
from benchmarks.public_data import SHARED
from benchmarks.tables import table
from retune.core.errors import InputError
from retune.core.records import document_texts, read_corpus, read_split
from retune.datasets import convert
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.encoding.loading import load_prepared
from retune.exporting.export import export
from retune.exporting.task import Task
from retune.fetching import fetch
from retune.models.directory import read_encoding
from retune.params.export import Export

QUERIES, DOCUMENTS, WARM_UP = 100, 200, 10
RUNS = 3
COMPUTE = Compute(device="cpu", token_budget=4096)
FORMS = (  # without float16, which is for GPUs: a CPU computes it far slower than float32
    ("safetensors", "bfloat16"),
    ("onnx", "float32"),
    ("onnx", "int8"),
    ("static", "float32"),
)
PARITY = {"texts": 100, "least": -1.0, "median": -1.0}  # no limits, so that the log names the cosines of all
ST, FLOAT32, BFLOAT16, EXPORTED = "sentence-transformers, float32", "retune, float32", "retune, bfloat16", "exported"
FIGURES = {"p50": "ms", "p95": "ms", "documents per second": "documents/s", "size": "MB"}


class System(NamedTuple):
    """What is measured: its name in the table, how it runs, and the folder of its model."""

    name: str
    kind: str
    folder: Path


def main() -> None:
    """Measure, print a table and write the results."""
    parser = argparse.ArgumentParser(description="Measure exports beside their models.")
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL")
    parser.add_argument("--dataset", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            cases = _cases(Path(folder), options.models, options.dataset)
        except InputError as error:
            raise SystemExit(f"error: {error}") from None
    write_results("exporting", cases)
    print(table(RESULTS / "exporting.json"))


def _cases(work: Path, models: list[Path], dataset: Path | None) -> list[dict[str, object]]:
    dataset = dataset or _documentation(work / "documentation")
    write_texts(dataset, work / "texts.json")
    models = models or [_minilm(work / "minilm")]
    for model in models:
        read_encoding(model)  # refuses what is no embedding model of the pipeline
    systems = [system for model in models for system in systems_of(model, dataset, work / "exports")]
    return measured(systems, work / "texts.json")


def _minilm(out: Path) -> Path:
    fetch.fetch(MINILM, out, where="benchmark")
    return out


def _documentation(out: Path) -> Path:
    raw = Path("requirements.txt")
    params = convert.parse_params("convert.x", SHARED | {"raw": str(raw)} | DOCUMENTATION)
    convert.convert(params, raw, out, seed=13, where="convert.x")
    return out


def write_texts(dataset: Path, out: Path) -> None:
    """Write the first test queries and, spread over the corpus, documents of a data set."""
    queries = read_split(dataset, "test").queries["text"].tolist()[:QUERIES]
    documents = document_texts(read_corpus(dataset))
    step = max(1, len(documents) // DOCUMENTS)
    out.write_text(json.dumps({"queries": queries, "documents": documents[::step][:DOCUMENTS]}), encoding="utf-8")


def systems_of(model: Path, dataset: Path, work: Path) -> Iterator[System]:
    """Yield the ways to run a model and its exports, which are made first."""
    name = model.resolve().name
    for kind in (ST, FLOAT32, BFLOAT16):
        yield System(f"{name}: {kind}", kind, model)
    for form, dtype in FORMS:
        entry = {"model": "x", "dataset": "x", "format": form, "dtype": dtype}
        params = Export.parse("export.x", entry | {"parity": None if form == "static" else PARITY})
        out = work / f"{name}_{form}_{dtype}"
        try:
            found = export(Task(model, dataset, params, COMPUTE, seed=0), out)
        except InputError as error:
            print(f"{name}: {form}, {dtype} is left out: {error}")
        else:
            print(f"{name}: {form}, {dtype}: {found['megabytes']} MB, cosine {found['cosine']}", flush=True)
            yield System(f"{name}: {form}, {dtype}", EXPORTED, out)


def measured(systems: list[System], texts: Path) -> list[dict[str, object]]:
    """Let all systems take turns; return the medians of their figures."""
    runs: dict[str, list[dict[str, float]]] = {system.name: [] for system in systems}
    for _ in range(RUNS):
        for system in systems:
            found = run_apart("exporting", system.kind, str(system.folder), str(texts))
            found["size"] = size_mb(system.folder)
            runs[system.name].append(found)
            print(system.name, {key: round(found[key], 2) for key in FIGURES}, flush=True)
    return [
        case(f"{name} {key}", statistics.median(found[key] for found in runs[name]), unit)
        for name in runs
        for key, unit in FIGURES.items()
    ]


def size_mb(folder: Path) -> float:
    """Return the size of all files of a model, in millions of bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def run(kind: str, folder: str, texts: str, out: str) -> None:
    """Load a model, and write its latency of one query in milliseconds and its rate of documents."""
    given = json.loads(Path(texts).read_text(encoding="utf-8"))
    queries, documents = given["queries"], given["documents"]
    ask, encode = _load(kind, Path(folder))
    with contextlib.redirect_stderr(io.StringIO()):
        for query in queries[:WARM_UP]:
            ask(query)
        encode(documents[:WARM_UP])
        latencies = [_seconds(ask, query) * 1000 for query in queries]
        seconds = _seconds(encode, documents)
    report = {"p50": float(np.percentile(latencies, 50)), "p95": float(np.percentile(latencies, 95))}
    report["documents per second"] = len(documents) / seconds
    Path(out).write_text(json.dumps(report), encoding="utf-8")


def _seconds(call: Callable[[Any], object], argument: Any) -> float:
    start = time.perf_counter()
    call(argument)
    return time.perf_counter() - start


def _load(kind: str, folder: Path) -> tuple[Callable[[str], object], Callable[[list[str]], object]]:
    """Return what encodes a query, and what encodes documents."""
    if kind == ST:
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
        return model.encode_query, model.encode_document
    if kind == EXPORTED:
        encoder = Encoder.load(folder, COMPUTE, devices=())
    else:
        dtype = torch.float32 if kind == FLOAT32 else torch.bfloat16
        encoder = Encoder(load_prepared(folder, "cpu", dtype), read_encoding(folder), COMPUTE)
    return lambda query: encoder.encode_queries([query], [None]), encoder.encode_documents


if __name__ == "__main__":
    main()
