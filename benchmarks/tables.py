"""Write the tables of the pages about speed from benchmarks/results/*.json.

    python -m benchmarks.tables [--check]

A table stands between `<!-- table: NAME -->` and `<!-- end -->` and shows benchmarks/results/NAME.json. The text around
it stays as it is. With --check nothing is written, and the exit status is 1 where the page does not show the results.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path("benchmarks/results")
PAGES = [Path("docs/performance.md"), Path("docs/scale.md"), Path("docs/serve.md")]
TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)
OURS = "retune"

# how the name of a case without a peer ends, and the column that it goes to
MEASURES = {
    " time": "seconds",
    " peak memory": "peak GB",
    " rows per second": "rows/s",
    " share of the ideal rate": "share of the ideal rate",
    " p50": "p50 ms",
    " p95": "p95 ms",
    " documents per second": "documents/s",
    " size": "MB",
}
PEER = re.compile(r"(.+?)(?:_vs_| beside )(\w+)")
PEERS = {
    "sentence_transformers": "sentence-transformers",
    "flagembedding": "FlagEmbedding",
    "sentence_transformers_tuned": "sentence-transformers, tuned",
    "flagembedding_tuned": "FlagEmbedding, tuned",
    "encode": "encoding anew",
    "openmp": "OpenMP's own waiting",
    "faiss_knn": "`faiss.knn`",
    "semantic_search": "`semantic_search`",
}
RENAMED = {"encode_ndcg_difference": "encode_ndcg_vs_sentence_transformers"}  # the only name without its peer
# quotients of figures in the same table, and how close to the processor's own rate a search or an encoder comes
HIDDEN = re.compile(r"growth of time per row|seconds a document|matrix product 4096|share of that rate|peak_share")
ROWS = {  # labels; a quantity that is not listed is shown with its name and unit
    "encode": "texts per second",
    "encode_fp32": "texts per second, retune in float32 too",
    "encode_memory": "peak GB",
    "encode_ndcg": "nDCG@10 on nfcorpus",
    "cache_warm": "seconds for 100,000 texts, vectors cached",
    "score_100000_queries": "seconds for 100,000 queries",
    "search 100,000 documents, 2,000 queries time": "seconds for 2,000 queries, 100,000 documents",
    "search 100,000 documents, 2,000 queries peak memory": "peak GB",
    "train": "seconds per step",
    "train_memory": "peak GB",
    "train_memory_growth": "peak memory, second half of the steps over the first",
    "train_dev": "{unit}",
    "step_0": "seconds per step, alone",
    "step_1": "seconds per step, beside one busy loop",
    "step_2": "seconds per step, beside two busy loops",
}
ROWS |= {
    f"serve_{fast}{key}_{clients}": f"{label}, {clients} client{'s' if clients > 1 else ''}{', FAST=1' if fast else ''}"
    for clients in (1, 8, 64, 256)
    for fast in ("", "fast_")
    for key, label in (
        ("rate", "texts per second"),
        ("p50", "median, ms"),
        ("p95", "95th percentile, ms"),
        ("p99", "99th percentile, ms"),
        ("memory_growth", "memory at the end divided by that half-way"),
    )
}
ROWS |= {
    f"{prefix}{name}": f"{dataset}: {measured}"
    for prefix, dataset in (("", "Eedi"), ("nfcorpus_", "nfcorpus"), ("python_docs_", "Python documentation"))
    for name, measured in (
        ("mine", "seconds, first run"),
        ("mine_memory", "peak GB, first run"),
        ("second_mine", "seconds, second run"),
    )
}

Case = dict[str, Any]


def main() -> None:
    """Rewrite the tables of the pages, or say whether they are current."""
    parser = argparse.ArgumentParser(description="Write the tables of the pages about speed.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is not current")
    is_check = parser.parse_args().check
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        written = render(page, RESULTS)
        if is_check and written != page:
            raise SystemExit(f"error: {path}: expected the figures of {RESULTS}, run python -m benchmarks.tables")
        if not is_check:
            path.write_text(written, encoding="utf-8")


def render(page: str, results: Path) -> str:
    """Return the page with its tables written anew.

    Args:
        page: Markdown with the marker comments.
        results: The folder with a JSON file for each table.
    """
    return TABLE.sub(lambda found: f"{found[1]}{table(results / f'{found[2]}.json')}\n{found[3]}", page)


def table(path: Path) -> str:
    """Return a benchmark's cases as a Markdown table, whose first column is headed by the hardware."""
    if not path.exists():
        raise SystemExit(f"error: {path}: expected the results of a benchmark, found no file")
    report = json.loads(path.read_text(encoding="utf-8"))
    rows: dict[str, dict[str, str]] = {}  # cells by quantity and column, in the order of the cases
    units: dict[str, str] = {}
    for case in report["cases"]:
        if not HIDDEN.search(case["name"]):
            quantity, cells = _cells(case)
            rows.setdefault(quantity, {}).update(cells)
            # where units differ in the spread between seeds, the wider spread
            units[quantity] = max(case["unit"], units.get(quantity, ""))
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    lines = [[describe(report["hardware"]), *columns], ["---", *["---:"] * len(columns)]]
    for quantity, cells in rows.items():
        label = ROWS.get(quantity, quantity if OURS not in cells else f"{quantity}, {{unit}}")
        lines.append([label.format(unit=units[quantity]), *(cells.get(column, "") for column in columns)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def describe(hardware: dict[str, Any]) -> str:
    """Return the machine in words."""
    without_amx = "AVX512-BF16 without AMX" if hardware["avx512_bf16"] else "no fast bfloat16"
    processor = hardware["processor"].replace("(R)", "").removesuffix(" Processor")
    bfloat16 = "AMX" if hardware["amx"] else without_amx
    words = [f"{hardware['cores']} cores of {processor}", bfloat16, hardware["accelerator"]]
    return ", ".join(word for word in words if word)


def _cells(case: Case) -> tuple[str, dict[str, str]]:
    """Return the quantity that a case measures, and its cells by column."""
    name = str(case["name"])
    name = RENAMED.get(name, name)
    for ending, column in MEASURES.items():
        if name.endswith(ending):
            return name.removesuffix(ending).removeprefix("growth "), {column: _number(case["ours"], case["unit"])}
    cells = {OURS: _number(case["ours"], case["unit"])}
    peer = PEER.fullmatch(name)
    if peer is None:
        return name, cells
    ratio = "" if case["ratio"] is None else f" ({_number(case['ratio'])})"
    return peer[1], cells | {PEERS.get(peer[2], peer[2]): _number(case["peer"], case["unit"]) + ratio}


def _number(value: float, unit: str = "") -> str:
    """Return three digits of a number, at most two decimals; four decimals of a retrieval score."""
    if "ndcg" in unit.lower():
        return f"{value:.4f}"
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


if __name__ == "__main__":
    main()
