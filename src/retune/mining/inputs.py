"""The queries, documents and judgments of a mining recipe, as rows and positions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.records import Split, document_texts, read_corpus, read_split
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.models.directory import is_cross_encoder
from retune.models.scope import read_addition, read_scope
from retune.params.mine import Mine
from retune.retrieval.cosines import pair_cosines
from retune.retrieval.cross_encoder import CrossEncoderScorer


@dataclass(frozen=True)
class MiningInputs:
    """The queries that negatives are mined for, and the documents they are mined from.

    Attributes:
        queries: The queries that have positives, as in `Split`.
        documents: The ranked documents, then positives and judged documents that are not ranked, as in a corpus.
        num_ranked: The number of ranked documents.
        positives: Positions of each query's relevant documents, sorted.
        judged: Positions of each query's documents judged irrelevant, sorted.
        num_without_positives: The number of queries left out for lack of positives.
        scores: The scores that come with the data set, as in `Split`.
    """

    queries: pd.DataFrame
    documents: pd.DataFrame
    num_ranked: int
    positives: list[np.ndarray]
    judged: list[np.ndarray]
    num_without_positives: int
    scores: pd.DataFrame | None

    def with_positives(self, rows: np.ndarray, positions: np.ndarray) -> "MiningInputs":
        """Return inputs in which some queries have more positives.

        Args:
            rows: The rows of these queries, (pairs,).
            positions: The positions of the documents, none of which is a positive yet, (pairs,).
        """
        old_rows, old_positions = flatten(self.positives)
        all_rows, all_positions = np.r_[old_rows, rows], np.r_[old_positions, positions]
        order = np.lexsort((all_positions, all_rows))
        return replace(self, positives=split_rows(all_rows[order], all_positions[order], len(self.positives)))

    @cached_property
    def document_texts(self) -> list[str]:
        """The texts that are encoded, by position."""
        return document_texts(self.documents)

    @cached_property
    def query_texts(self) -> list[str]:
        """The texts without prompts and prefixes, by row."""
        return [str(text) for text in self.queries["text"]]


class PairScores:
    """Scores pairs of a query and a document with the scorer of the recipe."""

    def __init__(self, inputs: MiningInputs, model: "Vectors | CrossEncoderScorer") -> None:
        """Take an encoder's vectors, or a cross-encoder."""
        self._inputs, self._model = inputs, model

    def __call__(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return float32 scores, (pairs,), higher is closer; those of an encoder are cosine similarities.

        Args:
            rows: The rows of the queries, (pairs,).
            positions: The positions of the documents, (pairs,).
        """
        if isinstance(self._model, Vectors):
            return self._model.cosines(rows, positions)
        queries = [self._inputs.query_texts[row] for row in rows]
        return self._model.score(queries, [self._inputs.document_texts[position] for position in positions])


class Vectors:
    """One encoder's vectors of the queries and the documents, computed on first use."""

    def __init__(self, inputs: MiningInputs, encoder: Encoder) -> None:
        self._inputs, self._encoder = inputs, encoder

    @cached_property
    def queries(self) -> np.ndarray:
        """(queries, dim) float32 unit vectors."""
        queries = self._inputs.queries
        prompts, ids = queries["prompt"].tolist(), queries["query_id"].tolist()
        return self._encoder.encode_queries(self._inputs.query_texts, prompts, ids=ids)

    @cached_property
    def documents(self) -> np.ndarray:
        """(documents, dim) float32 unit vectors."""
        ids = self._inputs.documents["doc_id"].tolist()
        return self._encoder.encode_documents(self._inputs.document_texts, ids=ids)

    def cosines(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the cosine similarity of each pair, (pairs,)."""
        return pair_cosines(self.queries, self.documents, rows, positions)


def read_inputs(dataset: Path, pool: Path, params: Mine) -> MiningInputs:
    """Read a recipe's data set and pool; if the folders are the same, the pool is the data set's corpus."""
    corpus, train = read_corpus(dataset), read_split(dataset, "train")
    return gather(corpus, train, None if pool == dataset else read_corpus(pool), params)


def load_models(
    ranker: Path, scorer: Path, dataset: Path, compute: Compute
) -> tuple[Encoder, Encoder | CrossEncoderScorer]:
    """Load the ranker and the scorer of a recipe for a data set; if the folders are the same, they are one model.

    Raises:
        InputError: A model has moved vectors for the documents of the data set, or is no model.
    """
    encoder = _load_encoder(ranker, dataset, compute)
    if scorer == ranker:
        return encoder, encoder
    if is_cross_encoder(scorer):
        return encoder, CrossEncoderScorer.load(scorer, compute)
    return encoder, _load_encoder(scorer, dataset, compute)


def _load_encoder(model: Path, dataset: Path, compute: Compute) -> Encoder:
    if read_scope(model) is None:
        return Encoder.load(model, compute)
    addition = read_addition(model, dataset.name, read_corpus(dataset))
    if addition.vectors is not None:
        raise InputError(
            f"{model}: expected a model to mine with, got vectors that were moved towards train queries, near which no "
            "document is a fair negative; name its base"
        )
    return Encoder.load(model, compute, addition=addition)


def gather(corpus: pd.DataFrame, train: Split, pool: pd.DataFrame | None, params: Mine) -> MiningInputs:
    """Turn a recipe's tables into rows and positions.

    Documents from another data set's pool are named `<pool>:<doc_id>`, so that equal ids do not clash.

    Args:
        corpus: The corpus of the data set.
        train: Its training queries.
        pool: The corpus that is ranked; None: the corpus of the data set.
        params: The recipe, which names the data set and the pool.

    Raises:
        InputError: There is no training query, or none with a positive.
    """
    if train.queries.empty:
        raise InputError(
            f"{params.dataset}: expected training queries, got an empty train split; mine a data set that has some"
        )
    relevant = _of_query(train.qrels[train.qrels["relevance"] > 0])
    irrelevant = _of_query(train.qrels[train.qrels["relevance"] == 0])
    queries = train.queries[train.queries["query_id"].isin(relevant)].reset_index(drop=True)
    if queries.empty:
        raise InputError(
            f"{params.dataset}: expected training queries with a relevant document, got none with one; "
            "check its judgments"
        )
    documents, num_ranked = _documents(corpus, train, pool, params)
    places = {doc_id: position for position, doc_id in enumerate(documents["doc_id"])}
    if absent := [doc_id for doc_id in train.qrels["doc_id"] if doc_id not in places]:
        raise InputError(
            f"{params.dataset}: expected judgments of documents in the corpus, got {len(absent)} of "
            f"{len(train.qrels)} whose document is absent, first: {absent[0]!r}; convert the data set again"
        )
    positives, judged = (
        [_positions(of.get(query_id, []), places) for query_id in queries["query_id"]] for of in (relevant, irrelevant)
    )
    left_out = len(train.queries) - len(queries)
    return MiningInputs(queries, documents, num_ranked, positives, judged, left_out, train.scores)


def _documents(corpus: pd.DataFrame, train: Split, pool: pd.DataFrame | None, params: Mine) -> tuple[pd.DataFrame, int]:
    """Return the documents that `negatives_from` needs, the ranked ones first, and how many are ranked."""
    judged = corpus[corpus["doc_id"].isin(set(train.qrels["doc_id"]))]
    if params.negatives_from in ("none", "scored") or (
        params.negatives_from == "given" and params.shortage != "random"
    ):
        return judged.reset_index(drop=True), 0
    if pool is None:
        return corpus, len(corpus)
    foreign = pool.assign(doc_id=[f"{params.pool}:{doc_id}" for doc_id in pool["doc_id"]])
    if both := set(foreign["doc_id"]) & set(judged["doc_id"]):
        raise InputError(
            f"{params.dataset}: expected document ids other than those of pool {params.pool!r}, got {min(both)!r}; "
            "rename the document or the pool"
        )
    return pd.concat([foreign, judged], ignore_index=True), len(pool)


def _of_query(qrels: pd.DataFrame) -> dict[str, list[str]]:
    return {str(query_id): group.tolist() for query_id, group in qrels.groupby("query_id", sort=False)["doc_id"]}


def _positions(doc_ids: Sequence[str], places: dict[str, int]) -> np.ndarray:
    return np.array(sorted({places[doc_id] for doc_id in doc_ids}), dtype=np.int64)


def flatten(numbers: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return every pair of a row and a number in it, as two arrays, (pairs,) each."""
    rows = np.repeat(np.arange(len(numbers)), [len(row) for row in numbers])
    return rows, np.concatenate([np.zeros(0, dtype=np.int64), *numbers])


def split_rows(rows: np.ndarray, numbers: np.ndarray, num_rows: int) -> list[np.ndarray]:
    """Return the numbers of each row, from what `flatten` returns; a row may have none."""
    return np.split(numbers, np.searchsorted(rows, np.arange(1, num_rows)))


def starts(numbers: Sequence[np.ndarray]) -> np.ndarray:
    """Return where each row begins in what `flatten` returns, (rows,)."""
    return np.cumsum([0, *(len(row) for row in numbers)])[:-1]
