"""Exact nearest-neighbour search by inner product, tile by tile, merging the best of each tile.

Every matrix product has the same shape, because the last tiles are padded with zeros. So a score has the same bits
whatever else is searched, and the memory besides the results is a few tiles, however many queries and documents there
are.
"""

from collections.abc import Sequence

import numpy as np
import torch

TILES = {"cpu": (1024, 1024), "cuda": (8192, 4096)}  # queries and documents per product
GROUP = 16  # documents tested together, as most groups have none that is close enough; it divides a tile's documents
LOW_BITS = 0xFFFFFFFF  # the bits of a key that contain the position
NOTHING = -0x7F800001 << 32  # the key of minus infinity, which is below the key of any score


def top_k(
    query_embeddings: np.ndarray, document_embeddings: np.ndarray, k: int, *, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Return the `k` closest documents of each query, closest first; documents with equal scores keep corpus order.

    The results of a query have the same bits regardless of the other queries and their order.

    Args:
        query_embeddings: (queries, dim) float32, finite.
        document_embeddings: (documents, dim) float32, finite.
        k: The number of documents per query; fewer if the corpus is smaller.
        device: The device that multiplies, in float32; the CPU is used unless it is CUDA.

    Returns:
        Scores, float32, higher is closer, and document positions, int64, both (queries, min(k, documents)).
    """
    place = torch.device(device if device.type == "cuda" else "cpu")  # MPS cannot sort 64-bit integers
    queries, documents = torch.from_numpy(query_embeddings), torch.from_numpy(document_embeddings)
    k = min(k, len(documents))
    scores = np.empty((len(queries), k), dtype=np.float32)
    positions = np.empty((len(queries), k), dtype=np.int64)
    product = _Product(documents.shape[1], place)
    for start in range(0, len(queries) if k else 0, product.rows):
        rows = slice(start, start + product.rows)
        keys = _best_keys(product, queries[rows], documents, k)
        scores[rows] = _scores(keys).cpu().numpy()
        positions[rows] = (LOW_BITS - (keys & LOW_BITS)).cpu().numpy()
    return scores, positions


def merge_top_k(parts: Sequence[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the `k` closest documents of each query among those found in parts of a corpus.

    The result has the bits of `top_k` over the whole corpus, because a score does not depend on what else is searched.

    Args:
        parts: Scores and positions of the same queries as `top_k` returns them, with positions in the whole corpus.
        k: The number of documents per query, at most what each part was asked for; fewer if there are fewer.
    """
    scores, positions = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
    order = np.lexsort((positions, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(positions, order, axis=1)


class _Product:
    """Multiplies tiles into one buffer, because allocating one per product would cost more than the product."""

    def __init__(self, dim: int, device: torch.device) -> None:
        self.device = device
        self.rows, self.columns = TILES[device.type]
        self._queries = torch.empty((self.rows, dim), device=device)
        self._documents = torch.empty((self.columns, dim), device=device)
        self._scores = torch.empty((self.rows, self.columns), device=device)

    def set_queries(self, queries: torch.Tensor) -> None:
        _fill(self._queries, queries)

    def score(self, documents: torch.Tensor) -> torch.Tensor:
        """Return scores that stay valid until the next call; columns without a document are minus infinity."""
        _fill(self._documents, documents)
        torch.mm(self._queries, self._documents.T, out=self._scores)
        self._scores[:, len(documents) :] = -torch.inf
        return self._scores


def _fill(buffer: torch.Tensor, rows: torch.Tensor) -> None:
    buffer[: len(rows)] = rows
    buffer[len(rows) :] = 0.0


def _best_keys(product: _Product, queries: torch.Tensor, documents: torch.Tensor, k: int) -> torch.Tensor:
    """Return the keys of the closest documents of each query of a tile, closest first."""
    product.set_queries(queries)
    best = _Best(len(queries), k, product)
    for start in range(0, len(documents), product.columns):
        scores = product.score(documents[start : start + product.columns])[: len(queries)]
        if start == 0 and k <= product.columns:  # skips most of the first tile
            best.floor = scores.topk(k, sorted=False).values.amin(1)
        best.add(scores, start)
    return best.merge().sort(dim=1, descending=True).values


class _Best:
    """The best keys of each query so far, followed by keys that have reached its floor since the last merge."""

    def __init__(self, num_queries: int, k: int, product: _Product) -> None:
        self.k = k
        self.floor = torch.full((num_queries,), -torch.inf, device=product.device)  # lower scores are ignored
        self._keys = torch.full((num_queries, 2 * k + product.columns), NOTHING, device=product.device)
        self._counts = torch.full((num_queries,), k, device=product.device)

    def add(self, scores: torch.Tensor, start: int) -> None:
        """Add the scores of a tile, (queries, documents), whose first document is at position `start`."""
        rows, columns = _reaching(scores, self.floor)
        counts = rows.bincount(minlength=len(scores))
        places = torch.arange(len(rows), device=rows.device) + (self._counts - counts.cumsum(0) + counts)[rows]
        self._keys[rows, places] = _keys(scores[rows, columns], start + columns)
        self._counts += counts
        if self._counts.max() > 2 * self.k:  # seldom, as merging costs more than a slightly low floor
            self.merge()

    def merge(self) -> torch.Tensor:
        """Return the k best keys of each query, in any order, and raise its floor to the lowest of their scores."""
        used = self._keys[:, : int(self._counts.max())]
        best = used.topk(self.k, sorted=False).values
        used[:, self.k :] = NOTHING
        self._keys[:, : self.k] = best
        self._counts.fill_(self.k)
        self.floor = torch.maximum(self.floor, _scores(best.amin(1)))
        return best


def _reaching(scores: torch.Tensor, floor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rows, ascending, and the columns of scores that reach the floor of their row."""
    groups = scores.view(len(scores), GROUP, -1)  # (queries, members of a group, groups)
    rows, group = (groups.amax(1) >= floor[:, None]).nonzero(as_tuple=True)
    hits, member = (groups[rows, :, group] >= floor[rows, None]).nonzero(as_tuple=True)
    return rows[hits], member * groups.shape[2] + group[hits]


def _keys(scores: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Return integers that sort by score, then by corpus order.

    The high bits contain the score, the low bits the position, counted backwards.
    """
    bits = (scores + 0.0).view(torch.int32)  # + 0.0 turns minus zero into zero
    return (_ordered(bits).long() << 32) | (LOW_BITS - positions)


def _scores(keys: torch.Tensor) -> torch.Tensor:
    return _ordered((keys >> 32).int()).view(torch.float32)


def _ordered(bits: torch.Tensor) -> torch.Tensor:
    """Convert the bits of floats to integers of the same order, or back."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)
