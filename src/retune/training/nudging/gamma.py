"""Choose the step size gamma on dev queries."""

import numpy as np

from retune.core.errors import InputError
from retune.evaluation.metrics import parse_metric
from retune.training.nudging.choice import Choice, choose
from retune.training.nudging.directions import Directions
from retune.training.nudging.grid import score_angles
from retune.training.nudging.judgments import Judgments, by_query
from retune.training.nudging.moves import Variant
from retune.training.nudging.sweep import score_intervals


def choose_gamma(
    documents: np.ndarray,
    directions: Directions,
    queries: np.ndarray,
    judgments: Judgments,
    metric: str,
    variant: Variant,
) -> Choice:
    """Choose the step size with the best mean of a metric over dev queries.

    In variant m it is found exactly, see `score_intervals`; in variant n among the angles of `score_angles`. Ties are
    broken by nDCG at the metric's cut-off, then by the smaller step. A moved document is rounded to float32, so the
    scores of a search may differ where two documents are closer than 1e-7.

    Args:
        documents: (documents, dim) float32 unit vectors.
        directions: The directions of the covered documents.
        queries: The dev queries, (queries, dim) float32 unit vectors.
        judgments: Their relevant documents.
        metric: A key such as `ndcg_at_10`.
        variant: The variant, see `move`.

    Raises:
        InputError: The metric is unknown, there is no dev query, or one has no relevant document.
    """
    name, k = parse_metric(metric)
    if len(queries) != judgments.num_queries:
        raise InputError(f"expected judgments of {len(queries)} dev queries, got those of {judgments.num_queries}")
    score = score_intervals if variant == "m" else score_angles
    return choose(score(documents, directions, queries, by_query(judgments), (name, k)))
