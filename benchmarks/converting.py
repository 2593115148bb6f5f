"""Time and peak memory of stage `convert` on large made-up sources, and how they grow with size.

    python -m benchmarks.converting

`infgrad`: 185,000 queries, each with a positive and a negative of its own, as a zip; the leak guard included.
`mldr`: documents of 6,000 characters as jsonl.gz, 1 GB compressed. Both at a tenth and at full size.
"""

import gzip
import json
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

import numpy as np

from benchmarks.machine import case, measure, write_results

QUERIES = 185_000
GZ_BYTES = 10**9
SIGNS = np.array([chr(code) for code in range(0x4E00, 0x4E00 + 4000)])
SHARED = {
    "licence": "none", "origin": "made up", "use": "any", "merge_queries": True, "max_unusable": 0.0,
    "split_by": "query", "dev": 0.0, "test": 0.01,
    "leaks": {"policy": "report", "near_duplicate": 0.8, "min_words": 4},
}  # fmt: skip


def main() -> None:
    """Measure both shapes at both sizes, print and write the results."""
    cases = []
    for shape, make in (("infgrad", _infgrad), ("mldr", _mldr)):
        seconds = {}
        for share in (0.1, 1.0):
            with tempfile.TemporaryDirectory() as folder:
                rows = make(Path(folder), share)
                seconds[share], peak_gb = _convert(Path(folder), shape)
            name = f"convert {shape} {share:.0%} of {'185,000 queries' if shape == 'infgrad' else '1 GB'}"
            rate = rows / seconds[share]
            cases += [case(f"{name} time", seconds[share], "s"), case(f"{name} peak memory", peak_gb, "GB")]
            cases.append(case(f"{name} rows per second", rate, "1/s"))
            print(f"{name:45} {seconds[share]:7.1f} s {peak_gb:6.2f} GB {rate:9.0f} rows/s", flush=True)
        growth = seconds[1.0] / seconds[0.1] / 10
        cases.append(case(f"convert {shape} growth of time per row from 10% to 100%", growth, "1 is linear"))
        print(f"{shape}: time per row at full size is {growth:.2f} times that at a tenth")
    write_results("converting", cases)


def _convert(folder: Path, shape: str) -> tuple[float, float]:
    """Measure a conversion in a process of its own."""
    call = f"import stages; from benchmarks.converting import convert; convert({str(folder)!r}, {shape!r})"
    return measure([sys.executable, "-c", call])


def convert(folder: str, shape: str) -> None:
    """Convert what `folder` holds, as stage `convert` does."""
    from retune.datasets import convert as converting

    own = {"negatives": True} if shape == "mldr" else {}
    raw = Path(folder, "raw")
    params = converting.parse_params("convert.big", SHARED | {"format": shape, "raw": str(raw)} | own)
    statistics, _ = converting.convert(params, raw, Path(folder, "out"), seed=13, where="convert.big")
    print(f"{statistics['corpus']['documents']} documents, leaks {statistics['leaks']}, {statistics['dropped']}")


def _texts(rng: np.random.Generator, count: int, characters: int) -> Iterator[str]:
    """Yield texts of random signs, half to one and a half times as long as `characters`."""
    for length in rng.integers(characters // 2, characters * 3 // 2, count):
        yield "".join(SIGNS[rng.integers(0, len(SIGNS), length)])


def _infgrad(folder: Path, share: float) -> int:
    rng, count = np.random.default_rng(0), int(QUERIES * share)
    (folder / "raw").mkdir()
    queries = list(_texts(rng, count, 14))
    queries[50::50] = [f"{query}吗" for query in queries[49:-1:50]]  # some that leak from split to split
    rows = zip(queries, _texts(rng, count, 200), _texts(rng, count, 200), strict=True)
    keys = ("Query", "Positive Document", "Hard Negative Document")
    with (
        zipfile.ZipFile(folder / "raw" / "data.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("data.json", "w") as member,
    ):
        lines = ",\n".join(json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) for row in rows)
        member.write(f"[{lines}]".encode())
    return 3 * count


def _mldr(folder: Path, share: float) -> int:
    rng, count = np.random.default_rng(0), 0
    (folder / "raw").mkdir()
    path = folder / "raw" / "corpus.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as binary, TextIOWrapper(binary, encoding="utf-8") as file:
        while path.stat().st_size < GZ_BYTES * share:
            for text in _texts(rng, 200, 6000):
                file.write(json.dumps({"docid": f"doc-{count}", "text": text}, ensure_ascii=False) + "\n")
                count += 1
    with gzip.open(folder / "raw" / "train.jsonl.gz", "wt", encoding="utf-8") as file:
        for number, text in enumerate(_texts(rng, 1000, 20)):
            passage = {"docid": f"p-{number}", "text": f"passage {number}"}
            row = {"query_id": f"q-{number}", "query": text, "positive_passages": [passage], "negative_passages": []}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return count


if __name__ == "__main__":
    main()
