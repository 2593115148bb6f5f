"""Raw files made on the spot, and what `convert` needs to know about some of them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

TABLE: dict[str, Any] = {
    "query": "q", "query_id": None, "positive": "p", "positive_id": None, "negatives": [], "score": None,
    "relevant_from": None, "answer": None, "prompt": None, "group": None, "split": None,
}  # fmt: skip
BEIR: dict[str, bytes] = {
    "corpus.jsonl": b'{"_id":"d1","text":"one"}\n{"_id":"d2","text":"two"}\n',
    "queries.jsonl": b'{"_id":"q1","text":"first"}\n{"_id":"q2","text":"second"}\n',
    "qrels/train.tsv": b"query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n",
}
TREC_FILES = {"documents": ["c.jsonl"], "splits": {"train": {"queries": "q.jsonl", "qrels": "r.txt"}}, "runs": [], "run_depth": None}  # fmt: skip


def lines(*rows: object) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "surrogatepass")


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
