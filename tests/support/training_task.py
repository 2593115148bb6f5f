"""A small task to train on: names of things in pairs, a query and a document each."""

from pathlib import Path

import pandas as pd
import torch

from retune.core.records import Dataset, Mined, Split, empty_split, write_dataset, write_mined
from retune.encoding.compute import Compute
from retune.models.directory import load_model
from retune.params.finetune import Finetune
from retune.training.spec import Task
from tests.support.repository import WORDS

COMPUTE = Compute(device="cpu", token_budget=512, cache=None)
PARAMS = {
    "base": "tiny",
    "data": "words",
    "dev": "words",
    "dev_metric": "ndcg_at_3",
    "dev_documents": None,
    "evaluate_steps": None,
    "patience": None,
    "keep": "best",
    "engine": "sentence_transformers",
    "method": "full",
    "lora": None,
    "icl": None,
    "epochs": 2,
    "batch_size": 8,
    "hard_negatives": 1,
    "random_negatives": 0,
    "in_batch_negatives": True,
    "guide": "tiny",
    "guide_margin": None,
    "learning_rate": 5e-3,
    "warmup_ratio": 0.1,
    "weight_decay": 0.0,
    "loss": "infonce",
    "temperature": 0.05,
    "teacher_temperature": None,
    "matryoshka_dims": None,
    "gradient_caching": False,
    "frozen_layers": 0,
    "dropout": 0.0,
    "base_share": 0.0,
    "average_from": None,
    "soup_size": 1,
    "processes": 1,
    "attention": "auto",
    "checkpoint_minutes": 5.0,
    "trainer": {},
}


def params(**changes: object) -> Finetune:
    return Finetune(**PARAMS | changes)


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
