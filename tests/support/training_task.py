"""A small task to train on: names of things in pairs, a query and a document each."""

from pathlib import Path

import pandas as pd
import torch

from retune.core.records import Dataset, Mined, Split, empty_split, write_dataset, write_mined
from retune.models.directory import load_model
from retune.params.finetune import Finetune
from retune.training.spec import Task
from tests.support.parameters import COMPUTE, FINETUNE
from tests.support.repository import WORDS


def params(**changes: object) -> Finetune:
    return Finetune(**FINETUNE | changes)


def first_weights(model: Path) -> torch.Tensor:
    return next(iter(load_model(model, "cpu").parameters())).detach()


def corpus() -> pd.DataFrame:
    texts = [f"{first} {second} {first}" for first in WORDS[2:8] for second in WORDS[8:12]]
    return pd.DataFrame({"doc_id": [f"d{n}" for n in range(len(texts))], "title": None, "text": texts})


def split() -> Split:
    documents = corpus()
    queries = pd.DataFrame(
        {"query_id": [f"q{n}" for n in range(len(documents))], "text": documents["text"].str.rsplit(n=1).str[0]}
    ).assign(prompt=None, answer=None)
    return Split(
        queries, pd.DataFrame({"query_id": queries["query_id"], "doc_id": documents["doc_id"], "relevance": 1})
    )


def mined(*, num_negatives: int = 2) -> Mined:
    documents, queries = corpus(), split().queries
    ids = documents["doc_id"].tolist()
    negatives = [[ids[(row + step) % len(ids)] for step in range(1, num_negatives + 1)] for row in range(len(ids))]
    examples = pd.DataFrame(
        {
            "query_id": queries["query_id"],
            "positive_ids": [[doc_id] for doc_id in ids],
            "negative_ids": negatives,
            "positive_scores": [[1.0]] * len(ids),
            "negative_scores": [[0.5] * num_negatives] * len(ids),
            "source": "words",
        }
    )
    return Mined(examples, queries, documents)


def task(base: Path, folder: Path, *, dev: Split | None = None, seed: int = 3, **changes: object) -> Task:
    """Write the data to a folder, and return the task to train on it."""
    splits = {"train": empty_split(), "dev": dev or split(), "test": empty_split()}
    write_dataset(folder / "dataset", Dataset(corpus(), splits))
    write_mined(folder / "mined", mined())
    return Task(base, folder / "mined", folder / "dataset", params(**changes), COMPUTE, seed, base)
