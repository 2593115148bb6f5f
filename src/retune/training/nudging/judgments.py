"""The relevant documents of each dev or test query, by their positions in the corpus."""

from dataclasses import dataclass

import numpy as np

from retune.core.errors import InputError


@dataclass(frozen=True)
class Judgments:
    """The relevant documents of queries; no pair of a query and a document occurs twice.

    Attributes:
        rows: The row of each judgment's query, (judgments,).
        positions: The position of its document in the corpus, -1 if it is not there, (judgments,).
        grades: The grade of its document, above 0, (judgments,).
        num_queries: The number of queries.
    """

    rows: np.ndarray
    positions: np.ndarray
    grades: np.ndarray
    num_queries: int


@dataclass(frozen=True)
class RelevantDocuments:
    """The relevant documents of one query.

    Attributes:
        positions: The positions of those in the corpus, (found,).
        grades: The grades of those in the corpus, (found,).
        ideal: The grades of all, the highest first, (relevant,).
    """

    positions: np.ndarray
    grades: np.ndarray
    ideal: np.ndarray


def by_query(judgments: Judgments) -> list[RelevantDocuments]:
    """Return the relevant documents of each query.

    Raises:
        InputError: There is no query, or one without a relevant document.
    """
    counts = np.bincount(judgments.rows, minlength=judgments.num_queries)
    if not len(counts):
        raise InputError("expected dev queries, got none")
    if not counts.all():
        raise InputError(f"dev query {counts.argmin()}: expected a relevant document, got none")
    order = np.argsort(judgments.rows, kind="stable")
    relevant = []
    for members in np.split(order, np.cumsum(counts)[:-1]):
        found = members[judgments.positions[members] >= 0]
        ideal = np.sort(judgments.grades[members])[::-1]
        relevant.append(RelevantDocuments(judgments.positions[found], judgments.grades[found], ideal))
    return relevant
