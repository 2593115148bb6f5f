"""The rankings that a recipe mines: dense, BM25, or both."""

from collections.abc import Callable

import numpy as np
import torch

from retune.mining.inputs import MiningInputs, Vectors
from retune.params.mine import Mine
from retune.params.search import Graph, InvertedLists
from retune.retrieval.bm25 import Bm25
from retune.retrieval.index import build_index, check_recall, recall


class Rankings:
    """Ranks the pool for any query, in each way that the recipe names.

    Attributes:
        recall: The recall of the vector search; None if the search is exact.
    """

    def __init__(
        self, inputs: MiningInputs, vectors: Vectors, params: Mine, *, device: torch.device, seed: int
    ) -> None:
        """Index the documents.

        Args:
            inputs: The queries, and the documents to rank.
            vectors: The vectors to search, if the recipe uses dense ranking.
            params: The recipe.
            device: The device for exact search.
            seed: The seed of the sample of queries that recall is measured on.

        Raises:
            InputError: The index does not suit the size of the corpus, or its recall is too low.
        """
        self._depth = min(params.depth, inputs.num_ranked)
        self.recall: float | None = None
        self._rankers: list[Callable[[np.ndarray], np.ndarray]] = []
        is_ranked = params.negatives_from == "mined" and self._depth > 0  # otherwise negatives are judged or random
        if is_ranked and params.ranking != "bm25":
            documents = vectors.documents[: inputs.num_ranked]
            search = build_index(documents, params.search, device)
            self._rankers.append(lambda rows: search(vectors.queries[rows], self._depth)[1])
            if isinstance(params.search, InvertedLists | Graph):
                self.recall = recall(search, vectors.queries, documents, self._depth, seed=seed, device=device)
                check_recall(params.search, self.recall)
        if is_ranked and params.ranking != "dense":
            bm25 = Bm25(inputs.document_texts[: inputs.num_ranked])
            self._rankers.append(lambda rows: bm25.top_k([inputs.query_texts[row] for row in rows], self._depth)[1])

    def of(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return each ranking of some queries: positions, best first, (queries, depth), -1 where it ends early."""
        return [rank(rows) for rank in self._rankers] or [np.zeros((len(rows), 0), dtype=np.int64)]
