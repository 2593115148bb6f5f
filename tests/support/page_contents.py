"""Made-up contents of the page: three models tuned from one, on three data sets, and the smallest one possible."""

import math
from typing import Any

import numpy as np

DATASETS = ["legal", "medical", "general"]
HOMES = {"small_legal": "legal", "small_medical": "medical", "small_both": "legal"}
CHANGES = {
    "small_legal": [0.0621, -0.0048, -0.0312],
    "small_medical": [0.0104, 0.0487, -0.0026],
    "small_both": [0.0203, 0.0151, 0.0009],
}
WORDS = [
    "appeal",
    "court",
    "dosage",
    "trial",
    "verdict",
    "insulin",
    "contract",
    "nerve",
    "the",
    "of",
    "and",
    "surgeon",
    "liability",
    "fever",
    "statute",
    "a",
]
SCRIPT = "</script><script>window.hacked = 1</script><!-- <img src=x onerror='window.hacked = 1'> & \"quoted\""
SLICES = {"query length": ["short", "middle", "long"], "positives per query": ["1", "2 or more"], "seen": ["no", "yes"]}


def sample(num_changes: int = 300) -> dict[str, Any]:
    """Return a content with every section."""
    rng = np.random.default_rng(0)
    measurements = [
        _measurements("bm25", None, 0.51),
        _measurements("small", None, 0.58),
        *(_measurements(model, "small", 0.58) for model in HOMES),
    ]
    return {
        "title": "Do the tuned models hold up?",
        "metric": "ndcg_at_10",
        "margin": 0.01,
        "confidence": 0.95,
        "tuned_models": _tuned_models(),
        "measurements": [measurement for group in measurements for measurement in group],
        "findings": [
            {
                "about": "convert.legal",
                "fact": "11 of 551 train queries leak a dev or test query.",
                "meaning": "The gain at home may be too high.",
                "advice": "Set leaks: {policy: drop}.",
            }
        ],
        "merges": [
            {
                "model": "small_both",
                "margin": 0.005,
                "chosen": 0.5,
                "weight": weight,
                "gain": 0.1 * weight,
                "worst": -0.01 * weight,
                "is_allowed": weight <= 0.5,
            }
            for weight in (0.0, 0.5, 1.0)
        ],
        "histories": [
            {
                "model": model,
                "global_step": step,
                "loss": 0.9 * math.exp(-step / 40) + 0.2 + 0.05 * rng.random(),
                "dev": 0.5 + 0.002 * step if step % 25 == 0 else None,
            }
            for model in HOMES
            for step in range(1, 101)
        ],
        "lengths": [
            {
                "dataset": dataset,
                "percentile": p,
                "document_characters": 80 + 2 * p * p,
                "query_characters": 10 + p,
            }
            for dataset in DATASETS
            for p in range(0, 101, 5)
        ],
        "mining": [
            {
                "recipe": recipe,
                "score": x,
                "positives": _bell(x, 0.6),
                "negatives": _bell(x, 0.35),
                "random_pairs": _bell(x, 0.1),
            }
            for recipe in ("legal", "medical")
            for x in np.linspace(-0.2, 1, 40).tolist()
        ],
        "audit": [
            {"recipe": recipe, "figure": figure, "value": value}
            for recipe in ("legal", "medical")
            for figure, value in {
                "queries": 12551,
                "negatives": 50204,
                "above lowest positive": 0.01724,
                "search recall": None,
            }.items()
        ],
        "pair_scores": [
            {"model": model, "dataset": dataset, "score": x, "positives": _bell(x, at), "random_pairs": _bell(x, low)}
            for model, at, low in (("small", 0.5, 0.2), ("small_legal", 0.65, 0.1), ("small_medical", 0.6, 0.15))
            for dataset in DATASETS
            for x in np.linspace(-0.2, 1, 40).tolist()
        ],
        "slices": [
            _slice(model, dataset, name, value, rng)
            for model in HOMES
            for dataset in DATASETS
            for name in SLICES
            for value in SLICES[name]
        ],
        "references": [
            {"dataset": "legal", "name": "leaderboard of 2024", "metric": "ndcg_at_10", "value": 0.611},
            {"dataset": "legal", "name": "their paper, table 2", "metric": "map_at_25", "value": 0.43},
        ],
        "changes": changes(num_changes, rng),
        "synthetic": [
            {
                "name": "legal_made",
                "summary": "The queries were written by a model for 500 documents of legal.",
                "kinds": [
                    {"kind": "question", "drafted": 1200, "kept": 1000, "p5": 6, "p50": 11, "p95": 24},
                    {"kind": "title", "drafted": 3, "kept": 0, "p5": None, "p50": None, "p95": None},
                ],
                "reasons": [("repeated query", 200), ("judged below 7", 3)],
                "asked": ["Language model, judge: 9 of 10 requests answered."],
                "kept": [_made_query(n, "") for n in range(30)],
                "rejected": [_made_query(n, "repeated query") for n in range(3)],
            }
        ],
    }


def tiny() -> dict[str, Any]:
    """Return the content for one model on one data set: it is not tuned, so all other sections are empty."""
    empty = dict.fromkeys(
        [
            "tuned_models",
            "findings",
            "merges",
            "histories",
            "lengths",
            "mining",
            "audit",
            "pair_scores",
            "slices",
            "references",
        ]
    )
    return {
        "title": "One model",
        "metric": "map_at_25",
        "margin": 0.01,
        "confidence": 0.95,
        **{name: [] for name in empty},
        "synthetic": [],
        "measurements": _measurements("small", None, 0.5)[:1],
        "changes": {"documents": [], "rows": [], "left_out": 0},
    }


def one_tuned_model() -> dict[str, Any]:
    """Return the content for one tuned model on its home alone, with 12 queries: all optional numbers are absent."""
    content = tiny()
    measurement = _measurements("small_legal", "small", 0.5)[0]
    content["measurements"] += [
        measurement | dict.fromkeys(["low", "high", "p", "mde"]) | {"queries": 12, "word": "withheld"}
    ]
    absent = {"gate": None, "failures": [], "worst_change_elsewhere": None, "backward_transfer": None}
    content["tuned_models"] = [_tuned_models()[0] | absent | {"word": "withheld", "sentence": "12 queries"}]
    content["histories"] = [{"model": "small_legal", "global_step": 1, "loss": None, "dev": 0.5}]
    content["lengths"] = [{"dataset": "legal", "percentile": 0, "document_characters": 0, "query_characters": None}]
    content["pair_scores"] = [
        {"model": "small_legal", "dataset": "legal", "score": 0.5, "positives": 0.0, "random_pairs": 0.0}
    ]
    return content


def changes(count: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return so many changed queries, numbered within texts of random words, each with two wanted documents."""
    documents = [f"document {n} {_words(rng, 40)}" for n in range(max(2, count // 3))]
    rows = []
    for n in range(count):
        base = round(float(rng.random()), 5)
        change = round(min(1.0, max(0.0, base + float(rng.normal(0.02, 0.2)))) - base, 5) or 0.1
        wanted = [int(d) for d in rng.integers(len(documents), size=2)]
        rows.append(
            {
                "model": list(HOMES)[n % 3],
                "dataset": DATASETS[n // 3 % 3],
                "query_id": f"q{n // 3}",
                "query": f"query {n // 3} {_words(np.random.default_rng(n // 3), 8)}",
                "base_score": base,
                "score": round(base + change, 5),
                "change": change,
                "relevant": 2,
                "wanted": [[wanted[0], 3, 1], [wanted[1], None, 12]],
                "found": [wanted[0], True] if change > 0 else [(wanted[0] + 1) % len(documents), False],
            }
        )
    return {"documents": documents, "rows": rows, "left_out": 0}


def _made_query(number: int, reason: str) -> dict[str, str]:
    rng = np.random.default_rng(number)
    texts = {"query": f"made {number} {_words(rng, 8)}", "document": f"document {number} {_words(rng, 60)}"}
    return {"kind": "question", "split": "train", "reason": reason} | texts


def _words(rng: np.random.Generator, count: int) -> str:
    return " ".join(rng.choice(WORDS, size=count))


def _bell(x: float, mean: float) -> float:
    return math.exp(-(((x - mean) / 0.12) ** 2) / 2) / 10


def infect(value: Any) -> Any:
    """Append a script to every text but the verdict words and the metric, which the page knows."""
    if isinstance(value, str):
        return value + SCRIPT
    if isinstance(value, list):
        return [infect(item) for item in value]
    if isinstance(value, dict):
        return {key: item if key in ("word", "gate") else infect(item) for key, item in value.items()}
    return value


def _measurements(model: str, base: str | None, start: float) -> list[dict[str, Any]]:
    measurements = []
    for number, dataset in enumerate(DATASETS):
        change = None if base is None else CHANGES[model][number]
        word = None
        if change is not None:
            word = "improved" if change > 0.012 else "forgot" if change < -0.01 else "non-inferior"
        measurements.append(
            {
                "model": model,
                "base": base,
                "dataset": dataset,
                "is_home": HOMES.get(model) == dataset,
                "score": start + 0.03 * number + (change or 0.0),
                "change": change,
                "low": None if change is None else change - 0.012,
                "high": None if change is None else change + 0.013,
                "p": None if change is None else 0.00002 if abs(change) > 0.03 else 0.21,
                "queries": [1204, 830, 5000][number],
                "word": word,
                "mde": None if change is None else 0.0105,
            }
        )
    return measurements


def _tuned_models() -> list[dict[str, Any]]:
    rule = "max_forgetting: expected at most 0.02, got 0.0312 on general"
    common = {"base": "small", "gate": "passed", "failures": [], "gain_kept": None, "backward_transfer": -0.0114}
    models = [
        common
        | {
            "model": "small_legal",
            "home": "legal",
            "word": "forgot",
            "gate": "failed",
            "failures": [rule],
            "sentence": "Gained 0.0621 on legal (1,204 queries) and lost 0.0312 on general.",
        },
        common
        | {
            "model": "small_medical",
            "home": "medical",
            "word": "improved",
            "sentence": "Gained 0.0487 on medical; non-inferior on general and legal.",
        },
        common
        | {
            "model": "small_both",
            "home": "legal",
            "gain_kept": 0.327,
            "word": "no difference shown",
            "sentence": "The change at home may be chance: 0.0203, and tests of this size detect 0.0305.",
        },
    ]
    for model in models:
        changes = dict(zip(DATASETS, CHANGES[model["model"]], strict=True))
        model["gain"] = changes.pop(model["home"])
        model["worst_change_elsewhere"] = min(changes.values())
    return models


def _slice(model: str, dataset: str, name: str, value: str, rng: np.random.Generator) -> dict[str, Any]:
    change = CHANGES[model][DATASETS.index(dataset)] + 0.02 * float(rng.normal())
    few = value == "yes"
    return {
        "model": model,
        "dataset": dataset,
        "slice": name,
        "value": value,
        "queries": 21 if few else 412,
        "base_score": 0.58,
        "score": 0.58 + change,
        "change": change,
        "low": None if few else change - 0.02,
        "high": None if few else change + 0.02,
    }
