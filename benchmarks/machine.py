"""Measure a command, and say what it was measured on."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

RESULTS = Path("benchmarks/results")
LIBRARIES = (
    "torch", "transformers", "sentence-transformers", "FlagEmbedding", "faiss-cpu", "dvc", "pytrec-eval-terrier",
    "onnxruntime", "model2vec",
)  # fmt: skip


def hardware() -> dict[str, object]:
    """Return the processor, what it multiplies fast, cores, memory and accelerator."""
    return {
        "processor": _processor(),
        "amx": bool(torch.cpu._is_amx_tile_supported()),
        "avx512_bf16": bool(torch.cpu._is_avx512_bf16_supported()),
        "vnni": bool(torch.cpu._is_vnni_supported()),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and the libraries that do the work."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue  # faiss-cpu is absent where faiss-gpu is installed
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except FileNotFoundError:
        names = []
    return names[0] if names else platform.processor()


def measure(command: Sequence[str], **environment: str) -> tuple[float, float]:
    """Return the seconds a command takes and its peak resident memory in GB, never below what this process has used."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"error: exit status {process.returncode} of {' '.join(command)}; run dvc repro first")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return time.perf_counter() - start, usage.ru_maxrss * unit / 2**30


def run_apart(module: str, *arguments: object) -> dict[str, float]:
    """Call `run` of a module of benchmarks in a process of its own, and return what it measured, and `peak_gb`.

    Args:
        module: The name of the module.
        arguments: What `run` gets; after them comes the file to write its figures to.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "report.json")
        called = ", ".join(map(repr, [*arguments, str(out)]))
        _, peak_gb = measure([sys.executable, "-c", f"from benchmarks.{module} import run; run({called})"])
        report: dict[str, float] = json.loads(out.read_text(encoding="utf-8"))
    return report | {"peak_gb": peak_gb}


def case(name: str, value: float, unit: str) -> dict[str, object]:
    """Return a result that has no peer."""
    return {"name": name, "ours": round(value, 2), "peer": None, "ratio": None, "unit": unit}


def write_results(benchmark: str, cases: list[dict[str, object]]) -> None:
    """Write `benchmarks/results/<benchmark>.json` with hardware and versions."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = {"hardware": hardware(), "versions": versions(), "cases": cases}
    path = RESULTS / f"{benchmark}.json"
    path.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(f"written to {path}")
