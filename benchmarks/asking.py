"""Rate of requests to a language model, beside what its server allows, and of a second run that finds all replies kept.

    python -m benchmarks.asking

The server is a process of its own on loopback that replies after half a second. Ideal is that 64 requests are in flight
all the time. The time includes writing the replies. Importing the client takes the same time for any number of
requests, so it has a row of its own, and the share of the ideal rate is given without it and with it. Python's
bytecode cache is warm, as it is for every user after the first import.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import stages  # noqa: F401  puts src/ on the path
from benchmarks.machine import case, measure, write_results
from retune.llm.json_reply import object_schema
from retune.llm.replies import Request

REQUESTS, IN_FLIGHT, DELAY_S = 2000, 64, 0.5
IDEAL_S = REQUESTS / IN_FLIGHT * DELAY_S
TEXT = "A matrix has an inverse if and only if its determinant is not zero. " * 10
SCHEMA = object_schema({"question": {"type": "string"}, "keywords": {"type": "string"}})


def main() -> None:
    """Measure, print and write the results."""
    cases = []
    with tempfile.TemporaryDirectory() as folder, _server() as url:
        _run(Path(folder, "other"), url, 1)  # writes the bytecode
        for name in (f"ask {REQUESTS:,} requests", f"ask {REQUESTS:,} requests again"):
            seconds, import_s, peak_gb = _run(Path(folder, "replies"), url, REQUESTS)
            cases += [case(f"{name} time", seconds, "s"), case(f"{name} peak memory", peak_gb, "GB")]
            if not name.endswith("again"):
                cases.append(case(f"{name} share of the ideal rate", IDEAL_S / seconds, "1 is all"))
                cases.append(case("import the client time", import_s, "s"))
                whole = f"{name} and import the client share of the ideal rate"
                cases.append(case(whole, IDEAL_S / (import_s + seconds), "1 is all"))
                print(f"{'import the client':30} {import_s:6.2f} s")
            print(f"{name:30} {seconds:6.2f} s {peak_gb:5.2f} GB, {REQUESTS / seconds:8.1f}/s", flush=True)
    print(f"ideal {IDEAL_S:.2f} s")
    write_results("asking", cases)


@contextmanager
def _server() -> Iterator[str]:
    """Run the server; yield its base URL."""
    command = [sys.executable, "-m", "tests.support.llm_server", str(DELAY_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


def _run(replies: Path, url: str, count: int) -> tuple[float, float, float]:
    """Return the seconds of asking and of importing the client, and the peak memory, of a process of its own."""
    settings = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none", "RETUNE_REPLIES": str(replies)}
    settings |= {"RETUNE_LLM_CONCURRENCY": str(IN_FLIGHT), "PYTHONDONTWRITEBYTECODE": ""}
    out = replies.with_suffix(".report")
    call = f"from benchmarks.asking import run; run({str(out)!r}, {count})"
    _, peak_gb = measure([sys.executable, "-c", call], **settings)
    seconds, import_s = json.loads(out.read_text(encoding="utf-8"))
    return float(seconds), float(import_s), peak_gb


def requests(count: int) -> list[Request]:
    """Return requests with a document each."""
    return [Request("Write two queries.", f"Document {number}. {TEXT}", SCHEMA, "1") for number in range(count)]


def run(out: str, count: int) -> None:
    """Ask, and write the seconds that it took, and those of importing the client."""
    before = time.perf_counter()
    import httpx2  # noqa: F401
    import openai  # noqa: F401

    import_s = time.perf_counter() - before
    from retune.llm.ask import ask
    from retune.params.llm import Llm

    params = Llm(model="none", temperature=0.0, max_tokens=100, timeout_s=30.0)
    start = time.perf_counter()
    replies, _ = ask(requests(count), params, seed=0, desc="ask")
    Path(out).write_text(json.dumps([time.perf_counter() - start, import_s]), encoding="utf-8")
    assert all(reply.value for reply in replies)


if __name__ == "__main__":
    main()
