"""The training examples of a plan: read from a mined set and checked, with documents as positions in a list."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.records import Mined, document_texts
from retune.params.finetune import Finetune

LOG = logging.getLogger(__name__)
PromptedQuery = tuple[str, str | None]  # its text, and its prompt if it has one


@dataclass(frozen=True)
class ScoredDocuments:
    """Documents of one query, with their stored scores.

    Attributes:
        positions: Positions in `Examples.documents`, (documents,).
        scores: Their scores, (documents,) float32.
    """

    positions: np.ndarray
    scores: np.ndarray

    def select(self, which: np.ndarray) -> "ScoredDocuments":
        """Return some of the documents, given by a mask or by their indices."""
        return ScoredDocuments(self.positions[which], self.scores[which])


@dataclass(frozen=True)
class Examples:
    """Queries with their positives and mined negatives.

    Documents of equal text are one document, and queries of equal text and prompt share their positives.

    Attributes:
        query_ids: The id of each query.
        queries: For each query, its text, and its prompt or None.
        documents: The distinct texts of documents.
        positives: The positives of each query, without repeats.
        negatives: The mined negatives of each query, except those with the text of a positive of the query.
        answers: For each query, the sorted positions of all documents that answer its text.
        sources: The number of each query's source, (queries,).
        source_names: The names of the sources.
        source_documents: For each source, the sorted positions of the documents in its examples.
        weights: The weight of each source; 1 if the examples are no mixture.
        is_mixture: Whether the sources were given weights.
    """

    query_ids: list[str]
    queries: list[PromptedQuery]
    documents: list[str]
    positives: list[ScoredDocuments]
    negatives: list[ScoredDocuments]
    answers: list[np.ndarray]
    sources: np.ndarray
    source_names: list[str]
    source_documents: list[np.ndarray]
    weights: list[float]
    is_mixture: bool


def read_examples(mined: Mined) -> Examples:
    """Return the examples of a mined set.

    Raises:
        InputError: There is no query, a query has no positive, or a document has no score.
    """
    query_ids = mined.examples["query_id"].tolist()
    texts = dict(zip(mined.documents["doc_id"], document_texts(mined.documents), strict=True))
    documents = list(dict.fromkeys(texts.values()))
    places = {text: position for position, text in enumerate(documents)}
    codes = {doc_id: places[text] for doc_id, text in texts.items()}
    positives, negatives = (_scored_documents(mined.examples, kind, codes) for kind in ("positive", "negative"))
    _check_positives(query_ids, positives)
    table = mined.queries.set_index("query_id").loc[query_ids]
    queries: list[PromptedQuery] = list(zip(table["text"], table["prompt"], strict=True))
    answers = _answers(queries, positives)
    names = mined.examples["source"].drop_duplicates().tolist()
    sources = mined.examples["source"].map(names.index).to_numpy()
    weights = {} if mined.weights is None else mined.weights.set_index("source")["weight"].to_dict()
    return Examples(
        query_ids=query_ids,
        queries=queries,
        documents=documents,
        positives=positives,
        negatives=_without_answers(negatives, answers),
        answers=answers,
        sources=sources,
        source_names=names,
        source_documents=_documents_of_sources(positives, negatives, sources, len(names)),
        weights=[weights.get(name, 1.0) for name in names],
        is_mixture=mined.weights is not None,
    )


def check_negatives(examples: Examples, params: Finetune) -> None:
    """Check that there are enough negatives to draw from.

    Raises:
        InputError: A query has too few mined negatives, or a source has fewer documents than random negatives.
    """
    wanted = params.hard_negatives
    counts = zip(examples.query_ids, examples.negatives, strict=True)
    short = [query_id for query_id, negatives in counts if len(negatives.positions) < wanted]
    if short:
        raise InputError(
            f"hard_negatives: expected {wanted} mined negatives per query, got fewer for {len(short)} of "
            f"{len(examples.query_ids)} queries, first: {short[0]!r}; lower hard_negatives, or mine more"
        )
    for name, documents in zip(examples.source_names, examples.source_documents, strict=True):
        if params.random_negatives > len(documents):
            raise InputError(
                f"random_negatives: expected at most {len(documents)}, the number of documents of {name!r}, "
                f"got {params.random_negatives}; lower random_negatives"
            )


def check_scores(examples: Examples) -> None:
    """Check that the teacher scored every pair.

    Raises:
        InputError: A pair of a query and one of its documents has no finite score.
    """
    missing = [
        (query_id, examples.documents[position])
        for query_id, *sides in zip(examples.query_ids, examples.positives, examples.negatives, strict=True)
        for found in sides
        for position in found.positions[~np.isfinite(found.scores)].tolist()
    ]
    if missing:
        query_id, text = missing[0]
        raise InputError(
            f"loss: expected a teacher's score for every pair, got none for {len(missing)}, first: {text[:60]!r} of "
            f"query {query_id!r}; mine with a scorer that scores all of them"
        )


def _scored_documents(examples: pd.DataFrame, kind: str, codes: Mapping[str, int]) -> list[ScoredDocuments]:
    """Return each query's documents of a kind; of equal texts, only the first."""
    found = []
    columns = (examples[name].tolist() for name in ("query_id", f"{kind}_ids", f"{kind}_scores"))
    for query_id, ids, scores in zip(*columns, strict=True):
        if len(ids) != len(scores):
            expected = f"expected a score for each of {len(ids)} {kind}_ids"
            raise InputError(f"{query_id}: {expected}, got {len(scores)}; mine again")
        positions = np.array([codes[doc_id] for doc_id in ids], dtype=np.int64)
        first = np.sort(np.unique(positions, return_index=True)[1])
        found.append(ScoredDocuments(positions, np.asarray(scores, dtype=np.float32)).select(first))
    return found


def _check_positives(query_ids: Sequence[str], positives: Sequence[ScoredDocuments]) -> None:
    bare = [query_id for query_id, found in zip(query_ids, positives, strict=True) if not len(found.positions)]
    if bare or not positives:
        first = f", first: {bare[0]!r}" if bare else ""
        raise InputError(
            f"expected training queries that all have a positive, got {len(positives)} queries, {len(bare)} of "
            f"them without one{first}; mine again, or convert more data"
        )


def _answers(queries: Sequence[PromptedQuery], positives: Sequence[ScoredDocuments]) -> list[np.ndarray]:
    """Return for each query the positives of all queries with its text and prompt."""
    answers: dict[PromptedQuery, set[int]] = {}
    for query, found in zip(queries, positives, strict=True):
        answers.setdefault(query, set()).update(found.positions.tolist())
    return [np.array(sorted(answers[query])) for query in queries]


def _without_answers(negatives: Sequence[ScoredDocuments], answers: Sequence[np.ndarray]) -> list[ScoredDocuments]:
    """Leave out mined negatives that answer their query."""
    is_other = [~np.isin(found.positions, known) for found, known in zip(negatives, answers, strict=True)]
    if num_answers := sum(int((~mask).sum()) for mask in is_other):
        LOG.warning("%d mined negatives left out: they have the text of a positive of their query", num_answers)
    return [found.select(mask) for found, mask in zip(negatives, is_other, strict=True)]


def _documents_of_sources(
    positives: Sequence[ScoredDocuments], negatives: Sequence[ScoredDocuments], sources: np.ndarray, num_sources: int
) -> list[np.ndarray]:
    named = [
        np.concatenate([first.positions, second.positions]) for first, second in zip(positives, negatives, strict=True)
    ]
    members = ([named[row] for row in np.flatnonzero(sources == source)] for source in range(num_sources))
    return [np.unique(np.concatenate(positions)) for positions in members]
