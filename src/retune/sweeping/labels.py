"""Some of the training queries, for a learning curve."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.records import Mined
from retune.core.seeds import generator


def read_shares(text: str) -> list[float]:
    """Read shares of the training queries, and sort them.

    Raises:
        InputError: There are fewer than two different numbers above 0 and up to 1, or something else.
    """
    try:
        shares = sorted({float(part) for part in text.split(",")})
    except ValueError:
        shares = []
    if len(shares) < 2 or not all(0.0 < share <= 1.0 for share in shares):
        raise InputError(
            f"--labels: expected at least two different shares above 0 and up to 1, such as 0.1,0.3,1, got {text!r}"
        )
    return shares


def subset(mined: Mined, share: float, *, batch_size: int, seed: int) -> Mined:
    """Draw a share of the queries of each source; a larger share contains the queries of a smaller one.

    Args:
        mined: The mined set.
        share: In (0, 1].
        batch_size: The fewest queries of a source.
        seed: The seed of the draw.

    Raises:
        InputError: A source has fewer queries than a batch.
    """
    sources = mined.examples["source"]
    is_drawn = np.zeros(len(sources), dtype=bool)
    for source in sources.drop_duplicates():
        rows = np.flatnonzero(sources == source)
        count = round(share * len(rows))
        if count < batch_size:
            raise InputError(_too_few(share, len(rows), str(source), batch_size))
        is_drawn[generator(seed, f"labels of {source}").permutation(rows)[:count]] = True
    examples = mined.examples[is_drawn].reset_index(drop=True)
    used = pd.concat([examples["positive_ids"], examples["negative_ids"]]).explode()
    return replace(
        mined,
        examples=examples,
        queries=mined.queries[mined.queries["query_id"].isin(examples["query_id"])].reset_index(drop=True),
        documents=mined.documents[mined.documents["doc_id"].isin(used)].reset_index(drop=True),
    )


def _too_few(share: float, num_queries: int, source: str, batch_size: int) -> str:
    remedy = "lower batch_size"
    if num_queries >= batch_size:
        remedy = f"raise it to {math.ceil(100 * batch_size / num_queries) / 100:g}, or {remedy}"
    return (
        f"--labels: expected at least a batch of {batch_size} queries of {source!r}, "
        f"got {share:g} of {num_queries}; {remedy}"
    )
