"""Training examples by numbers, and the batches of a plan."""

import pandas as pd

from retune.core.records import Mined
from retune.training.batches.plan import Plan, TrainingBatch


def numbered(pairs: list[tuple[int, int]], negatives: list[int] | None = None) -> Mined:
    """Examples of (query, document) numbers; all queries have the same negatives."""
    answers: dict[int, list[int]] = {}
    for query, document in pairs:
        answers.setdefault(query, []).append(document)
    names = sorted({document for _, document in pairs} | set(negatives or []))
    examples = pd.DataFrame(
        {
            "query_id": [f"q{query}" for query in answers],
            "positive_ids": [[f"d{document}" for document in own] for own in answers.values()],
            "negative_ids": [[f"d{document}" for document in negatives or []] for _ in answers],
            "positive_scores": [[1.0] * len(own) for own in answers.values()],
            "negative_scores": [[0.5] * len(negatives or []) for _ in answers],
            "source": "made",
        }
    )
    queries = pd.DataFrame({"query_id": examples["query_id"], "text": [f"query {query}" for query in answers]})
    documents = pd.DataFrame({"doc_id": [f"d{name}" for name in names], "title": None})
    return Mined(
        examples, queries.assign(prompt=None, answer=None), documents.assign(text=[f"text {name}" for name in names])
    )


def batches(plan: Plan, epoch: int = 0) -> list[TrainingBatch]:
    return [plan.batch(epoch * plan.num_batches + number) for number in range(plan.num_batches)]
