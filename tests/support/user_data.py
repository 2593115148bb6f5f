"""Data as users have it, in several layouts."""

import json
from pathlib import Path

import pandas as pd

QUESTION, PASSAGE = "how long is leave?", "Leave is thirty days."
ID_MAPS = {"queries": {"q": QUESTION}, "corpus": {"d": PASSAGE}, "relevant_docs": {"q": ["d"]}}
SQUAD = {"data": [{"title": "t", "paragraphs": [{"context": PASSAGE, "qas": [{"id": "1", "question": QUESTION}]}]}]}
BEIR = {
    "corpus.jsonl": [{"_id": "d", "text": PASSAGE}],
    "queries.jsonl": [{"_id": "q", "text": QUESTION}],
    "qrels/train.tsv": "query-id\tcorpus-id\tscore\nq\td\t1\n",
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq\td\t1\n",
}
MS_MARCO = {
    "collection.tsv": f"d1\t{PASSAGE}\n",
    "queries.train.tsv": f"q1\t{QUESTION}\n",
    "qrels.train.tsv": "q1\t0\td1\t1\n",
}
PAIRS = f"question,answer\n{QUESTION},{PASSAGE}\n"


def write(folder: Path, files: dict[str, object]) -> Path:
    """Write files: a text as it is, a list as JSON lines, or else JSON; return their folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            pd.DataFrame(content).to_parquet(path)
        elif isinstance(content, str):
            path.write_text(content)
        elif isinstance(content, list):
            path.write_text("".join(json.dumps(row) + "\n" for row in content))
        else:
            path.write_text(json.dumps(content))
    return folder
