"""TREC run files: what was found for each query, best first.

A line has six fields, `query_id Q0 doc_id rank score model`; ranks count from 1 without a gap. White space and `%` in
ids are percent-encoded, as a field ends at a space.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from retune.errors import InputError
from retune.files import atomic_file

TO_ENCODE = re.compile(r"[\s%]")


def run_table(scores: np.ndarray, positions: np.ndarray, query_ids: pd.Series, doc_ids: pd.Series) -> pd.DataFrame:
    """Return what was found as rows, best first within each query.

    Args:
        scores: (queries, depth), higher is closer.
        positions: Of the documents, (queries, depth); -1 where a row ends early.
        query_ids: In the order of the rows.
        doc_ids: The corpus's, in order of position.

    Returns:
        `query_id`, `doc_id`, `rank` from 1, `score` float32.
    """
    rows, columns = np.nonzero(positions >= 0)
    return pd.DataFrame(
        {
            "query_id": query_ids.to_numpy()[rows],
            "doc_id": doc_ids.to_numpy()[positions[rows, columns]],
            "rank": columns + 1,
            "score": scores[rows, columns],
        }
    )


def write_run(path: Path, run: pd.DataFrame, model: str) -> None:
    """Write a run file atomically; scores read back are the same float32 numbers.

    Args:
        path: Where to.
        run: As `run_table` returns it.
        model: What is named as having found all this.

    Raises:
        InputError: A score is not finite.
    """
    _check_finite(run, str(path))
    columns = (
        _encoded(run["query_id"]),
        _encoded(run["doc_id"]),
        run["rank"].tolist(),
        map(str, run["score"].to_numpy(np.float32)),
    )
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for query_id, doc_id, rank, score in zip(*columns, strict=True):
            file.write(f"{query_id} Q0 {doc_id} {rank} {score} {model}\n")


def _check_finite(run: pd.DataFrame, where: str) -> None:
    is_wrong = ~np.isfinite(run["score"].to_numpy())
    if is_wrong.any():
        first = run[is_wrong].iloc[0]
        raise InputError(
            f"{where}: query {first['query_id']!r}: expected finite scores, got {first['score']} "
            f"for document {first['doc_id']!r}"
        )


def _encoded(ids: pd.Series) -> list[str]:
    """Percent-encode what would end a field, and the sign that begins a code."""
    return [TO_ENCODE.sub(_code, text) if TO_ENCODE.search(text) else text for text in ids.tolist()]


def _code(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())
