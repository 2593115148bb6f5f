"""Exact nearest-neighbour search by inner product, tile by tile, with a running merge.

Every product has the same shape, the last tiles being filled up with zeros. So a score is the same bits whatever else
is searched, and beside the results memory is a few tiles, whatever the number of queries and documents.
"""

import numpy as np
import torch

TILES = {"cpu": (1024, 1024), "cuda": (8192, 4096)}  # queries and documents of one product
GROUP = 16  # divides a tile's documents; looked at together, as most groups hold none that is close enough
LOW_BITS = 0xFFFFFFFF  # of a key, for the position
NOTHING = -0x7F800001 << 32  # the key of minus infinity, below that of any score


def top_k(
    query_embeddings: np.ndarray, document_embeddings: np.ndarray, k: int, *, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Return each query's `k` closest documents, closest first; equal scores keep corpus order.

    A query's results are the same bits in any company and order of queries.

    Args:
        query_embeddings: (queries, dim) float32, finite.
        document_embeddings: (documents, dim) float32, finite.
        k: At most this many; fewer where the corpus is smaller.
        device: Where to multiply, in float32. What is not CUDA is done on the CPU.

    Returns:
        Scores, float32, higher is closer, and document positions, int64, both (queries, min(k, documents)).
    """
    place = torch.device(device if device.type == "cuda" else "cpu")  # MPS sorts no 64-bit integers
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


class _Product:
    """Multiplies tiles into one buffer; a fresh one for each product would cost more than the product."""

    def __init__(self, dim: int, device: torch.device) -> None:
        self.device = device
        self.rows, self.columns = TILES[device.type]
        self._queries = torch.empty((self.rows, dim), device=device)
        self._documents = torch.empty((self.columns, dim), device=device)
        self._scores = torch.empty((self.rows, self.columns), device=device)

    def set_queries(self, queries: torch.Tensor) -> None:
        _fill(self._queries, queries)

    def score(self, documents: torch.Tensor) -> torch.Tensor:
        """Return scores until the next call; columns without a document hold minus infinity."""
        _fill(self._documents, documents)
        torch.mm(self._queries, self._documents.T, out=self._scores)
        self._scores[:, len(documents) :] = -torch.inf
        return self._scores


def _fill(buffer: torch.Tensor, rows: torch.Tensor) -> None:
    buffer[: len(rows)] = rows
    buffer[len(rows) :] = 0.0


def _best_keys(product: _Product, queries: torch.Tensor, documents: torch.Tensor, k: int) -> torch.Tensor:
    """Return the keys of the documents closest to each query of a tile, closest first."""
    product.set_queries(queries)
    best = _Best(len(queries), k, product)
    for start in range(0, len(documents), product.columns):
        scores = product.score(documents[start : start + product.columns])[: len(queries)]
        if start == 0 and k <= product.columns:  # leaves most of the first tile out
            best.floor = scores.topk(k, sorted=False).values.amin(1)
        best.add(scores, start)
    return best.merge().sort(dim=1, descending=True).values


class _Best:
    """The best keys of each query so far, and behind them those that have reached its floor since."""

    def __init__(self, num_queries: int, k: int, product: _Product) -> None:
        self.k = k
        self.floor = torch.full((num_queries,), -torch.inf, device=product.device)  # lower scores cannot be among them
        self._keys = torch.full((num_queries, 2 * k + product.columns), NOTHING, device=product.device)
        self._counts = torch.full((num_queries,), k, device=product.device)

    def add(self, scores: torch.Tensor, start: int) -> None:
        """Take in a tile, (queries, documents), the first of which is at position `start`."""
        rows, columns = _reaching(scores, self.floor)
        counts = rows.bincount(minlength=len(scores))
        places = torch.arange(len(rows), device=rows.device) + (self._counts - counts.cumsum(0) + counts)[rows]
        self._keys[rows, places] = _keys(scores[rows, columns], start + columns)
        self._counts += counts
        if self._counts.max() > 2 * self.k:  # rarely, as sorting costs more than a floor a little low
            self.merge()

    def merge(self) -> torch.Tensor:
        """Return the k best keys of each query, in any order, and raise its floor to the last of them."""
        used = self._keys[:, : int(self._counts.max())]
        best = used.topk(self.k, sorted=False).values
        used[:, self.k :] = NOTHING
        self._keys[:, : self.k] = best
        self._counts.fill_(self.k)
        self.floor = torch.maximum(self.floor, _scores(best.amin(1)))
        return best


def _reaching(scores: torch.Tensor, floor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rows, ascending, and columns of scores that are not below their row's floor."""
    groups = scores.view(len(scores), GROUP, -1)  # (queries, of a group, groups)
    rows, group = (groups.amax(1) >= floor[:, None]).nonzero(as_tuple=True)
    hits, member = (groups[rows, :, group] >= floor[rows, None]).nonzero(as_tuple=True)
    return rows[hits], member * groups.shape[2] + group[hits]


def _keys(scores: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Return integers that sort by score, then by corpus order: the score above, the position reversed below."""
    bits = (scores + 0.0).view(torch.int32)  # + 0.0 turns minus zero into zero
    return (_ordered(bits).long() << 32) | (LOW_BITS - positions)


def _scores(keys: torch.Tensor) -> torch.Tensor:
    return _ordered((keys >> 32).int()).view(torch.float32)


def _ordered(bits: torch.Tensor) -> torch.Tensor:
    """Turn a float's bits into an integer of the same order, or back."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)
