"""Peak memory and speed of training by batch size, with and without gradient caching.

    python -m benchmarks.training_memory [BATCH...]

Trains on documentation strings of installed packages, a query with one positive and one negative, a process a row.
Peaks hold; speeds are those of a first step.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import stages  # noqa: F401  puts src/ on the path
from benchmarks.training import COMPUTE, RUN, prepare
from retune.core import records
from retune.core.files import write_json
from retune.models.directory import SETTINGS, read_encoding

BATCHES, STEPS, DEV_QUERIES = (32, 64, 128, 256), 1, 10
LENGTHS = {"query_max_length": 64, "document_max_length": 128}
NO_DATA = Path("/nonexistent")  # so that documentation strings are trained on
TOLD = r"([\d.e+-]+) s/step, ([\d,]+) tokens/s, peak memory ([\d.]+) GB"
CODE = """
import logging; from pathlib import Path; from benchmarks.training_memory import train
logging.basicConfig(level=logging.INFO, format="%(message)s"); train(Path({work!r}), {batch}, {caching})
"""


def main() -> None:
    """Print a row per batch size and way."""
    for batch in map(int, sys.argv[1:] or BATCHES):
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder), NO_DATA, STEPS * batch)
            _shorten(Path(folder))
            for caching in (False, True):
                code = CODE.format(work=folder, batch=batch, caching=caching)
                log = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
                seconds, speed, memory = re.findall(TOLD, log)[-1]
                name = "gradient caching" if caching else "plain"
                print(f"batch {batch:4} {name:17} {memory:>6} GB {seconds:>6} s/step {speed:>7} tokens/s", flush=True)


def _shorten(work: Path) -> None:
    """Leave the documents named, a few dev queries and the lengths of params.yaml: training is to take the time."""
    write_json(work / "model" / SETTINGS, read_encoding(work / "model").model_dump() | LENGTHS)
    mined, dev = records.read_mined(work / "mined"), records.read_split(work / "dataset", "dev")
    named = mined.examples["positive_ids"].explode().tolist() + mined.examples["negative_ids"].explode().tolist()
    documents = mined.documents[mined.documents["doc_id"].isin(named)]
    records.write_mined(work / "mined", records.Mined(mined.examples, mined.queries, documents))
    queries = dev.queries[:DEV_QUERIES]
    qrels = dev.qrels[dev.qrels["query_id"].isin(queries["query_id"])]
    empty = records.empty_split()
    splits = {"train": empty, "dev": records.Split(queries, qrels), "test": empty}
    records.write_splits(work / "dataset", splits)


def train(work: Path, batch: int, caching: bool) -> None:
    """Train for a few steps; dev queries are ranked against few documents, so that training takes the most."""
    from retune.params.finetune import Finetune
    from retune.training.finetune import finetune
    from retune.training.spec import Task

    params = Finetune(**RUN | {"batch_size": batch, "gradient_caching": caching, "dev_documents": 0})
    task = Task(work / "model", work / "mined", work / "dataset", params, COMPUTE, 1, guide=work / "model")
    finetune(task, work / "out", work / "h.tsv")


if __name__ == "__main__":
    main()
