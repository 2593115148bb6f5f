"""Convert public data sets and print what was found in them as a table.

    python -m benchmarks.public_data FOLDER

FOLDER holds any of the folders eedi, nfcorpus, lecoqa, legal_summarization, xquad, llamaindex_10k and
intel_embedding_finetune, as their authors publish them; those that are absent are left out.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import stages  # noqa: F401  puts src/ on the path
from retune.datasets import convert

SHARED: dict[str, Any] = {
    "raw": "raw", "licence": "theirs", "origin": "public", "use": "any", "merge_queries": True, "max_unusable": 0.02,
    "split_by": "query", "dev": 0.0, "test": "given",
    "leaks": {"policy": "report", "near_duplicate": 0.7, "min_words": 4},
}  # fmt: skip
EEDI = {"format": "eedi", "merge_queries": False}
COLUMNS: dict[str, Any] = {"format": "table"}
NFCORPUS: dict[str, Any] = {
    "format": "trec",
    "documents": ["dev/raw/d-collection.docs", "test/raw/d-collection.docs"],
    "splits": {
        split: {"queries": f"{split}/raw/q-titles.queries", "qrels": f"{split}/raw/s-3.qrel"}
        for split in ("train", "dev", "test")
    },
    "runs": [],
    "run_depth": None,
}
SETS: dict[str, tuple[str, dict[str, Any]]] = {
    "eedi, validation_v2": ("eedi/raw_data", EEDI | {"rule": "validation_v2"}),
    "eedi, cross_validation": ("eedi/raw_data", EEDI | {"rule": "cross_validation"}),
    "nfcorpus": ("nfcorpus", NFCORPUS | {"dev": "given"}),
    "lecoqa": ("lecoqa", COLUMNS | {"query": "问题", "positive": "相关法规", "answer": "答案文本"}),
    "legal_summarization": (
        "legal_summarization",
        COLUMNS | {"query": "reference_summary", "positive": "original_text", "split_by": "document", "test": 0.3},
    ),
    "xquad, en": ("xquad/xquad.en.json", {"format": "squad", "split_by": "group", "test": 0.3}),
    "xquad, zh": ("xquad/xquad.zh.json", {"format": "squad", "split_by": "group", "test": 0.3}),
    "llamaindex_10k": ("llamaindex_10k", {"format": "llama_index", "dev": "given", "test": 0.0}),
    "intel": ("intel_embedding_finetune", {"format": "intel", "file": "augmented_example.jsonl", "test": 0.0}),
}


def main(folder: Path) -> None:
    """Convert every set that is there and print a row for each."""
    print("| data set | format | documents | train / dev / test | judgments | left out | leaks |")
    print("|---|---|---:|---:|---:|---|---|")
    for name, (place, own) in SETS.items():
        raw = folder / place
        if not raw.exists():
            continue
        params = convert.parse_params("convert.x", SHARED | own)
        with tempfile.TemporaryDirectory() as out:
            statistics, _ = convert.convert(params, raw, Path(out, "set"), seed=13, where="convert.x")
        splits = statistics["splits"].values()
        queries = " / ".join(f"{split['queries']:,}" for split in splits)
        judged = sum(split["relevant"] + split["judged_irrelevant"] for split in splits)
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in statistics["dropped"].items()) or "nothing"
        leaks = {kind: count for kind, count in statistics["leaks"].items() if kind not in ("policy", "train_queries")}
        found = ", ".join(f"{count} {kind}" for kind, count in leaks.items()) or "none"
        print(
            f"| {name} | `{own['format']}` | {statistics['corpus']['documents']:,} | {queries} | {judged:,} "
            f"| {left_out} | {found} |",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
