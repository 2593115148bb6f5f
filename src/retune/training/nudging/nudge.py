"""Move the documents of a data set towards its training queries, and write the model that searches them."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.files import atomic_directory
from retune.core.records import Mined, document_texts, read_corpus, read_mined, read_split
from retune.encoding.encoder import Encoder
from retune.evaluation.metrics import relevant_judgments
from retune.training.history import HistoryRow, write_history
from retune.training.keeping.model_card import write_card
from retune.training.nudging.choice import Choice
from retune.training.nudging.directions import Directions, find_directions, is_covered
from retune.training.nudging.gamma import choose_gamma
from retune.training.nudging.judgments import Judgments
from retune.training.nudging.moves import move
from retune.training.scoped import write_moved
from retune.training.spec import Task

LOG = logging.getLogger(__name__)


def nudge(task: Task, out: Path, history: Path) -> None:
    """Write the base and the moved document vectors to `out`, and the dev score before and after to `history`.

    Vectors are computed in float32, as evaluation computes them.

    Raises:
        InputError: There are no dev queries, or no training query answers with a document that a dev query asks for.
    """
    assert task.params.nudge is not None
    corpus, dev, mined = read_corpus(task.dev), read_split(task.dev, "dev"), read_mined(task.mined)
    if dev.queries.empty:
        raise InputError(
            f"{task.dev}: expected dev queries, got an empty dev split; set convert.<name>.dev to make one"
        )
    encoder = Encoder.load(task.base, task.compute, dtype="float32")
    documents = encoder.encode_documents(document_texts(corpus), ids=corpus["doc_id"].tolist())
    directions = _directions(encoder, mined, corpus)
    judgments = Judgments(*relevant_judgments(corpus["doc_id"], dev), len(dev.queries))
    coverage = _coverage(task, judgments, directions)
    metric, variant = task.params.dev_metric, task.params.nudge.variant
    choice = choose_gamma(documents, directions, _encode(encoder, dev.queries), judgments, metric, variant)
    summary = _summary(task, choice, len(directions.positions), coverage)
    LOG.info("%s", summary)
    if choice.gamma == 0.0:
        LOG.warning(
            "gamma is 0, so no document moves: no step raises dev %s above the base's %.5f; dev queries may be unlike "
            "the training queries, or the base finds their documents already",
            task.params.dev_metric,
            choice.base_score,
        )
    moved = move(documents, directions, choice.gamma, variant)
    rows = [HistoryRow(1, dev=choice.score, epoch=1.0)]
    with atomic_directory(out) as partial:
        write_moved(partial, task, corpus, moved)
        write_card(partial, task, rows, name=out.name, note=f"Step size: {summary}.")
    remarks = {"gamma": round(choice.gamma, 6), "coverage": round(coverage, 5), "decided_by": choice.decided_by}
    write_history(rows, history, task.params.dev_metric, base_dev=choice.base_score, remarks=remarks)


def _encode(encoder: Encoder, queries: pd.DataFrame) -> np.ndarray:
    texts, prompts, ids = (queries[column].tolist() for column in ("text", "prompt", "query_id"))
    return encoder.encode_queries(texts, prompts, ids=ids)


def _directions(encoder: Encoder, mined: Mined, corpus: pd.DataFrame) -> Directions:
    """Return the directions of the documents; those of the training examples are known by their texts."""
    places = {text: position for position, text in enumerate(document_texts(corpus))}
    texts = dict(zip(mined.documents["doc_id"], document_texts(mined.documents), strict=True))
    queries = mined.queries.set_index("query_id").loc[mined.examples["query_id"]].reset_index()
    answers = mined.examples["positive_ids"]
    rows = np.repeat(np.arange(len(queries)), answers.str.len())
    positions = np.array([places.get(texts[doc_id], -1) for ids in answers for doc_id in ids], dtype=np.int64)
    if absent := int((positions < 0).sum()):
        LOG.warning("%d of %d positives are left out: the corpus does not have them", absent, len(positions))
    return find_directions(_encode(encoder, queries), rows, positions)


def _coverage(task: Task, judgments: Judgments, directions: Directions) -> float:
    """Return the share of the dev queries of which a relevant document can move.

    Raises:
        InputError: It is 0.
    """
    coverage = float(is_covered(judgments, directions).mean())
    if coverage == 0.0:
        raise InputError(
            f"{task.dev}: expected dev queries with relevant documents that training queries ask for as well, got none "
            f"of {judgments.num_queries}; divide the queries, not the documents: convert.<name>.split_by: query"
        )
    return coverage


def _summary(task: Task, choice: Choice, moved: int, coverage: float) -> str:
    decided = {"metric": "", "ndcg": "nDCG decided", "gamma": "the smallest was taken"}[choice.decided_by]
    tie = decided and f" ({choice.tied} of {choice.candidates} steps score the same; {decided})"
    return (
        f"gamma {choice.gamma:.4g}{tie}: dev {task.params.dev_metric} {choice.base_score:.5f} -> {choice.score:.5f}; "
        f"{moved} documents can move, which {coverage:.1%} of the dev queries ask for"
    )
