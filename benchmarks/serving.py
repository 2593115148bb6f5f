"""Load `make serve`, and sentence-transformers behind a plain route of FastAPI, with 1, 8, 64 and 256 clients.

    python -m benchmarks.serving [--model DIR] [--dataset DIR] [--seconds NUMBER]

Each client sends one test query of the data set, waits for its vector, and sends the next; a server is loaded for
`--seconds` with each number of clients, with FAST=1 too. All servers compute in float32, in a process of their own, on
the same cores as the clients. Memory is that of the server's process, half-way through the load of 256 clients and at
its end.
"""

import argparse
import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

import stages  # noqa: F401  puts src/ on the path
from benchmarks.machine import write_results
from retune.core.records import read_split

CLIENTS = (1, 8, 64, 256)
WARM_UP_S = 3.0
START_S = 120.0  # within which a server must answer
SERVERS = {
    "ours": "from stages.serve import main; main({name!r}, port={port!r})",
    "fast": "from stages.serve import main; main({name!r}, port={port!r}, fast=True)",
    "sentence_transformers": "from benchmarks.serving import serve_peer; serve_peer({path!r}, {port})",
}
PORTS = itertools.count(18_480)


def main() -> None:
    """Load the servers in turn, print their figures and write the results."""
    parser = argparse.ArgumentParser(description="Load the server beside its peer.")
    parser.add_argument("--model", type=Path, default=Path("models/minilm"))
    parser.add_argument("--dataset", type=Path, default=Path("data/datasets/science"))
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    texts = [str(text) for text in read_split(options.dataset, "test").queries["text"]]
    found = {system: measure(system, options.model, texts, options.seconds) for system in SERVERS}
    cases = []
    for key, (unit, is_less_better) in UNITS.items():
        for clients in CLIENTS if key != "memory_growth" else CLIENTS[-1:]:
            peer = found["sentence_transformers"][clients][key]
            for system, prefix in (("ours", "serve"), ("fast", "serve_fast")):
                ours = found[system][clients][key]
                name = f"{prefix}_{key}_{clients}_vs_sentence_transformers"
                ratio = peer / ours if is_less_better else ours / peer
                cases.append({"name": name, "ours": ours, "peer": peer, "ratio": ratio, "unit": unit})
                print(f"{clients:4} clients {prefix:10} {key:14} {ours:9.2f} {peer:9.2f} {unit}")
    write_results("serving", cases)


UNITS = {
    "rate": ("texts/s", False),
    "p50": ("ms", True),
    "p95": ("ms", True),
    "p99": ("ms", True),
    "memory_growth": ("GB at the end / half-way", True),
}


def measure(system: str, model: Path, texts: Sequence[str], seconds: float) -> dict[int, dict[str, float]]:
    """Return the figures of one server by the number of clients."""
    found: dict[int, dict[str, float]] = {}
    with _running(system, model) as (process, url):
        body = {} if system == "sentence_transformers" else {"model": model.name, "input_type": "query"}
        asyncio.run(_load(url, body, texts, 8, WARM_UP_S, process.pid))
        for clients in CLIENTS:
            times, passed, growth = asyncio.run(_load(url, body, texts, clients, seconds, process.pid))
            percentiles = dict(zip(("p50", "p95", "p99"), np.percentile(times, (50, 95, 99)) * 1e3, strict=True))
            found[clients] = {"rate": len(times) / passed, **percentiles, "memory_growth": growth}
            print(f"{system}: {clients} clients: {len(times) / passed:.1f} texts/s, memory x {growth:.2f}", flush=True)
    return found


async def _load(
    url: str, body: dict[str, Any], texts: Sequence[str], clients: int, seconds: float, process: int
) -> tuple[list[float], float, float]:
    """Return the seconds of each request and of all, and the memory of a process at the end over that half-way."""
    start, times, order = time.perf_counter(), list[float](), itertools.cycle(texts)
    limits = httpx2.Limits(max_connections=clients, max_keepalive_connections=clients)

    async def ask(client: httpx2.AsyncClient) -> None:
        while (asked := time.perf_counter()) < start + seconds:
            reply = await client.post(url, json=body | {"input": [next(order)]})
            reply.raise_for_status()
            assert reply.json()["data"][0]["embedding"]
            times.append(time.perf_counter() - asked)

    async def half_way() -> float:
        await asyncio.sleep(seconds / 2)
        return _resident_gb(process)

    async with httpx2.AsyncClient(limits=limits, timeout=120.0) as client:
        memory = asyncio.create_task(half_way())
        await asyncio.gather(*(ask(client) for _ in range(clients)))
    return times, time.perf_counter() - start, _resident_gb(process) / await memory


@contextmanager
def _running(system: str, model: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start a server, and stop it in the end; yield its process and the address of its embeddings."""
    port = next(PORTS)
    code = SERVERS[system].format(name=model.name, path=str(model), port=str(port))
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while not _answers(f"http://127.0.0.1:{port}/health"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"error: {system}: the server did not start; run its command to see why: {code}")
            time.sleep(0.2)
        yield process, f"http://127.0.0.1:{port}/v1/embeddings"
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=30.0).status_code == 200
    except httpx2.TransportError:
        return False


def _resident_gb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 2**20


def serve_peer(folder: str, port: int) -> None:
    """Serve a model as a short script would: `encode` in a route of FastAPI, which runs it in a pool of threads."""
    import uvicorn
    from fastapi import Body, FastAPI
    from sentence_transformers import SentenceTransformer

    model, app = SentenceTransformer(folder, device="cpu"), FastAPI()

    @app.post("/v1/embeddings")
    def embeddings(texts: list[str] = Body(embed=True, alias="input")) -> dict[str, Any]:  # noqa: B008  FastAPI's way
        vectors = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        return {"data": [{"embedding": vector} for vector in vectors.tolist()]}

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
