"""Statistics that describe a data set in Git: counts and lengths, never its texts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from retune.core.distributions import percentiles
from retune.core.records import Split
from retune.text.language import languages

PERCENTILES = (0, 50, 95, 100)


def describe(
    splits: Mapping[str, Split],
    words: Sequence[int],
    characters: Sequence[int],
    sample: Sequence[str],
    dropped: Mapping[str, int],
) -> dict[str, Any]:
    """Return counts, lengths, languages and overlaps of the splits, and the number of dropped records by reason.

    Args:
        splits: The queries and judgments of each split.
        words: Number of words of each document, split at white space.
        characters: Number of characters of each document.
        sample: Texts of some documents, from which the language is guessed.
        dropped: Number of records left out, by reason.
    """
    texts = {name: set(split.queries["text"]) for name, split in splits.items()}
    earlier: dict[str, tuple[str, ...]] = {"train": (), "dev": ("train",), "test": ("train", "dev")}
    parts = {}
    for name, split in splits.items():
        relevant = split.qrels[split.qrels["relevance"] > 0]
        parts[name] = {
            "queries": len(split.queries),
            "repeated_texts": int(split.queries["text"].duplicated().sum()),
            "relevant": len(relevant),
            "judged_irrelevant": len(split.qrels) - len(relevant),
            "positives_per_query": _percentiles(relevant.groupby("query_id").size()),
            **{
                f"queries_also_in_{other}": int(split.queries["text"].isin(texts[other]).sum())
                for other in earlier[name]
            },
            "length": _lengths(*measure(split.queries["text"])),
            "language": languages(list(split.queries["text"])),
        }
    corpus = {"documents": len(words), "length": _lengths(words, characters), "language": languages(sample)}
    return {
        "corpus": corpus,
        "splits": parts,
        "dropped": {reason: int(count) for reason, count in dropped.items() if count},
    }


def measure(texts: Iterable[str]) -> tuple[list[int], list[int]]:
    """Return the number of words, split at white space, and the number of characters of each text."""
    sizes = [(len(text.split()), len(text)) for text in texts]
    return [words for words, _ in sizes], [characters for _, characters in sizes]


def lengths(splits: Mapping[str, Split], words: Sequence[int], characters: Sequence[int]) -> pd.DataFrame:
    """Return percentiles 0 to 100 of the lengths of documents and of all queries, for a plot; 0 if there are none."""
    query_words, query_characters = measure(text for split in splits.values() for text in split.queries["text"])
    columns = {
        "document_characters": characters,
        "query_characters": query_characters,
        "document_words": words,
        "query_words": query_words,
    }
    percents = np.arange(101)
    table = {name: np.percentile(values or [0], percents).astype(int) for name, values in columns.items()}
    return pd.DataFrame({"percentile": percents} | table)


def _lengths(words: Sequence[int], characters: Sequence[int]) -> dict[str, dict[str, int]]:
    return {"words": _percentiles(words), "characters": _percentiles(characters)} if len(words) else {}


def _percentiles(values: Sequence[int] | pd.Series) -> dict[str, int]:
    return {name: int(value) for name, value in percentiles(values, PERCENTILES).items()}
