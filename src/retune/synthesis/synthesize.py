"""Make a data set of synthetic queries from documents alone: draft, filter, split, count."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.records import Dataset, Split
from retune.datasets.statistics import describe, measure
from retune.params.synthesize import Synthesize
from retune.synthesis import extractive, filters
from retune.synthesis.drafts import REJECTED_COLUMNS, Draft, Rejected

if TYPE_CHECKING:
    from retune.encoding.encoder import Encoder

SPLITS = ("train", "dev", "test")


class Synthetic(NamedTuple):
    """A synthetic data set.

    Attributes:
        rejected: `doc_id`, `kind`, `text` and `reason` of every query that was left out.
        statistics: Counts and lengths, as of any data set, and the audit under `synthesis`.
    """

    dataset: Dataset
    rejected: pd.DataFrame
    statistics: dict[str, Any]


def synthesize(
    corpus: pd.DataFrame, params: Synthesize, *, held_out: Sequence[str], load: Callable[[], Encoder], seed: int
) -> Synthetic:
    """Return a data set of the same documents with synthetic queries.

    Args:
        corpus: The documents; they keep their ids.
        params: The method, the kinds of queries and the filters.
        held_out: Real dev and test queries of the source, for the filter `leak`.
        load: Loads the model for the filters that compare vectors.
        seed: The seed of all draws.

    Raises:
        InputError: No query is left.
    """
    drafts = extractive.draft(corpus, params, seed=seed)
    kept, rejected = filters.keep(drafts, params, held_out=held_out, load=load)
    everything = [*drafts.rejected, *rejected]
    if not kept:
        raise InputError(_nothing_left(corpus, params, everything))
    queries = pd.DataFrame(kept).assign(prompt=None, relevance=1)
    numbers = queries.groupby("doc_id").cumcount().astype(str)
    queries.insert(0, "query_id", queries["doc_id"] + "-q" + numbers)
    splits = _split(queries, params, seed)
    rejects = pd.DataFrame(everything, columns=REJECTED_COLUMNS).astype(str)
    texts = drafts.corpus["text"].tolist()
    statistics = describe(splits, *measure(texts), texts, Counter(rejects["reason"]))
    statistics["synthesis"] = _audit(drafts.queries, queries)
    return Synthetic(Dataset(drafts.corpus, splits), rejects, statistics)


def _split(queries: pd.DataFrame, params: Synthesize, seed: int) -> dict[str, Split]:
    """Draw the documents whose queries form the dev and the test split."""
    unique = np.random.default_rng(seed).permutation(np.sort(queries["doc_id"].unique()))
    num_dev, num_test = (math.ceil(share * len(unique)) for share in (params.dev, params.test))
    split_of = dict.fromkeys(unique[:num_dev], "dev") | dict.fromkeys(unique[num_dev : num_dev + num_test], "test")
    of_queries = queries["doc_id"].map(split_of).fillna("train")
    return {name: Split(queries[of_queries == name], queries[of_queries == name]) for name in SPLITS}


def _audit(drafts: Sequence[Draft], queries: pd.DataFrame) -> dict[str, Any]:
    """Return how many queries of each kind were drafted and kept, and how many documents have one."""
    drafted, kept = Counter(draft.kind for draft in drafts), Counter(queries["kind"])
    return {
        "documents_with_queries": int(queries["doc_id"].nunique()),
        "kinds": {kind: {"drafted": count, "kept": kept[kind]} for kind, count in sorted(drafted.items())},
    }


def _nothing_left(corpus: pd.DataFrame, params: Synthesize, rejected: Sequence[Rejected]) -> str:
    reasons = Counter(item.reason for item in rejected).most_common(3)
    counts = "; ".join(f"{reason}: {count}" for reason, count in reasons) or "no text could become one"
    return (
        f"expected documents that give queries of {params.min_words} to {params.max_words} words, got none among "
        f"{len(corpus)} ({counts}); lower min_words, raise max_words or relax filters"
    )
