"""Numbers that describe a data set, for Git: counts and lengths, never its texts."""

from typing import Any

import pandas as pd

from retune.records import Dataset

PERCENTILES = (0, 50, 95, 100)


def describe(dataset: Dataset, dropped: dict[str, int]) -> dict[str, Any]:
    """Return counts, lengths, overlaps of the splits and what was dropped, by reason.

    Lengths are percentiles in words (split at white space) and characters.
    """
    train_texts = set(dataset.splits["train"].queries["text"])
    splits = {}
    for name, split in dataset.splits.items():
        splits[name] = {
            "queries": len(split.queries),
            "relevant": int((split.qrels["relevance"] > 0).sum()),
            "judged_irrelevant": int((split.qrels["relevance"] == 0).sum()),
            "queries_also_in_train": 0 if name == "train" else int(split.queries["text"].isin(train_texts).sum()),
            "length": _lengths(split.queries["text"]),
        }
    corpus = {"documents": len(dataset.corpus), "length": _lengths(dataset.corpus["text"])}
    return {
        "corpus": corpus,
        "splits": splits,
        "dropped": {reason: count for reason, count in dropped.items() if count},
    }


def _lengths(texts: pd.Series) -> dict[str, dict[str, int]]:
    if texts.empty:
        return {}
    lengths = {"words": texts.map(lambda text: len(text.split())), "characters": texts.str.len()}
    return {
        unit: {f"p{percentile}": int(values.quantile(percentile / 100)) for percentile in PERCENTILES}
        for unit, values in lengths.items()
    }
