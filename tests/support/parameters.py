"""Parameters for tests, from this one place: what every stage needs, with everything else off."""

from typing import Any

from retune.encoding.compute import Compute

COMPUTE = Compute(device="cpu", token_budget=512)
CONVERT: dict[str, Any] = {
    "raw": "raw",
    "licence": "MIT",
    "origin": "made for a test",
    "use": "any",
    "merge_queries": False,
    "max_unusable": 0.5,
    "split_by": "query",
    "dev": 0.0,
    "test": 0.0,
    "leaks": {"policy": "report", "near_duplicate": 0.8, "min_words": 4},
}
EXTRACTION: dict[str, Any] = {"removal_rate": 1.0, "min_words": 3, "max_words": 10}
SYNTHESIZE: dict[str, Any] = {
    "dataset": "words",
    "model": "tiny",
    "method": "extractive",
    "queries_per_document": 1,
    "kinds": {"sentence": 1.0},
    "extraction": EXTRACTION,
    "dev": 0.0,
}
MINE: dict[str, Any] = {
    "negatives_from": "mined",
    "ranking": "dense",
    "search": {"backend": "torch"},
    "range": [0, 7],
    "negatives": 2,
    "sampling": "uniform",
    "shortage": "fewer",
}
FINETUNE: dict[str, Any] = {
    "base": "tiny",
    "data": "words",
    "dev": "words",
    "guide": "tiny",
    "dev_metric": "ndcg_at_3",
    "checkpoint": "best",
    "engine": "sentence_transformers",
    "method": "full",
    "epochs": 2,
    "batch_size": 8,
    "hard_negatives": 1,
    "in_batch_negatives": True,
    "learning_rate": 5e-3,
    "warmup_ratio": 0.1,
    "loss": "infonce",
    "temperature": 0.05,
    "processes": 1,
    "attention": "auto",
}
MEASURING: dict[str, Any] = {
    "ks": [1, 3],
    "dims": None,
    "dtype": "auto",
    "search": {"backend": "torch"},
    "exclude_same_id": False,
    "judged_only": [],
}


def recipe(dataset: str, model: str, **changed: Any) -> dict[str, Any]:
    """Return a `mine` entry for a data set, its own pool, and a model that also scores, with some values changed."""
    return MINE | {"dataset": dataset, "pool": dataset, "model": model, "scorer": model} | changed


MERGE: dict[str, Any] = {  # beside the default params.yaml
    "base": "minilm",
    "tuned": "minilm_sympy",
    "tuned_2": "minilm_sympy",
    "dev": "sympy",
    "guard": "science",
    "guard_2": "science",
    "weight": "search",
}
EXPORT: dict[str, Any] = {  # beside the default params.yaml
    "model": "minilm_sympy",
    "dataset": "sympy",
    "format": "safetensors",
    "dtype": "float16",
    "parity": {"texts": 30, "least": 0.9, "median": 0.95},
}
