"""Search: exactly against a plain sort, and by index against the exact one."""

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retune.core.errors import InputError
from retune.params.search import Flat, Graph, InvertedLists, Search, Torch
from retune.retrieval import exact as search
from retune.retrieval import index
from retune.retrieval.exact import top_k
from retune.retrieval.index import build_index, check_recall, recall

CPU = torch.device("cpu")
EXACT = (Torch(backend="torch"), Flat(backend="faiss_flat"))
LISTS = InvertedLists(backend="faiss_ivf", lists=16, probes=16, min_recall=0.9)
GRAPH = Graph(backend="faiss_hnsw", links=8, build_depth=40, search_depth=50, min_recall=0.9)
APPROXIMATE = (LISTS, GRAPH)
properties = settings(max_examples=60, deadline=None)
tiles = st.sampled_from([(1, 16), (3, 32), (8, 64), (512, 4096)])


@pytest.fixture(autouse=True)
def few_documents_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(search.TILES, "cpu", (8, 64))


def stable_sort(queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = queries @ documents.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), order


def small_integers(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Vectors whose products are exact, and often equal, in any order of summation."""
    return rng.integers(-1, 2, (rows, 4)).astype(np.float32)


def unit_vectors(rows: int, seed: int, dim: int = 24) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def assert_same_bits(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> None:
    assert (one[0].dtype, one[1].dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(one[1], other[1])
    assert one[0].tobytes() == other[0].tobytes()


@properties
@given(st.integers(0, 2**32), st.integers(0, 20), st.integers(1, 200), st.integers(1, 250), tiles)
def test_equal_to_a_full_stable_sort_of_many_ties(
    seed: int, num_queries: int, num_documents: int, k: int, tile: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    queries, documents = small_integers(rng, num_queries), small_integers(rng, num_documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(search.TILES, "cpu", tile)
        scores, positions = top_k(queries, documents, k, device=CPU)
    expected, order = stable_sort(queries, documents, k)
    np.testing.assert_array_equal(positions, order)
    np.testing.assert_array_equal(scores, expected)
    assert (scores.dtype, positions.dtype) == (np.float32, np.int64)


@pytest.mark.slow
@properties
@given(st.data(), st.integers(1, 70))
def test_bits_do_not_depend_on_which_queries_are_asked_nor_in_which_order(data: st.DataObject, k: int) -> None:
    queries, documents = unit_vectors(30, seed=1), unit_vectors(300, seed=2)
    rows = data.draw(st.lists(st.integers(0, 29), min_size=1, max_size=40))
    scores, positions = top_k(queries, documents, k, device=CPU)
    assert_same_bits(top_k(queries[rows], documents, k, device=CPU), (scores[rows], positions[rows]))


@pytest.mark.parametrize("tile", [(64, 1024), (100, 1600), (256, 512)])
def test_bits_do_not_depend_on_the_tile(tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    queries, documents = unit_vectors(150, seed=1, dim=384), unit_vectors(3000, seed=2, dim=384)
    monkeypatch.setitem(search.TILES, "cpu", (512, 4096))
    expected = top_k(queries, documents, 100, device=CPU)
    monkeypatch.setitem(search.TILES, "cpu", tile)
    assert_same_bits(top_k(queries, documents, 100, device=CPU), expected)


@pytest.mark.parametrize("k", [1, 5, 100])
def test_documents_that_come_closer_and_closer_are_all_considered(k: int) -> None:
    documents = np.linspace(-1, 1, 500, dtype=np.float32)[:, None]
    scores, positions = top_k(np.ones((1, 1), dtype=np.float32), documents, k, device=CPU)
    assert positions.tolist() == [list(range(499, 499 - k, -1))]
    np.testing.assert_array_equal(scores[0], documents[::-1][:k, 0])


def test_minus_zero_ties_with_zero() -> None:
    documents = np.array([[-0.0], [0.0], [-0.0], [1.0]], dtype=np.float32)
    scores, positions = top_k(np.ones((1, 1), dtype=np.float32), documents, 4, device=CPU)
    assert positions.tolist() == [[3, 0, 1, 2]]
    assert scores.tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_every_score_far_below_zero_is_still_found() -> None:
    documents = np.array([[-3e38], [-1e-45], [-1.0]], dtype=np.float32)
    _, positions = top_k(np.ones((1, 1), dtype=np.float32), documents, 9, device=CPU)
    assert positions.tolist() == [[1, 2, 0]]


@pytest.mark.parametrize("backend", EXACT, ids=lambda backend: backend.backend)
@pytest.mark.parametrize(("num_queries", "num_documents", "k"), [(2, 3, 100), (2, 1, 1), (0, 5, 3), (70, 65, 64)])
def test_shapes(backend: Search, num_queries: int, num_documents: int, k: int) -> None:
    queries, documents = unit_vectors(num_queries, seed=1), unit_vectors(num_documents, seed=2)
    scores, positions = build_index(documents, backend, CPU)(queries, k)
    assert scores.shape == positions.shape == (num_queries, min(k, num_documents))
    np.testing.assert_array_equal(positions, stable_sort(queries, documents, k)[1])


def test_no_document_gives_no_neighbour() -> None:
    scores, positions = top_k(unit_vectors(3, seed=1), unit_vectors(0, seed=2), 5, device=CPU)
    assert scores.shape == positions.shape == (3, 0)


@pytest.mark.parametrize("backend", [*EXACT, LISTS], ids=lambda backend: backend.backend)
def test_looking_everywhere_is_exact(backend: Search) -> None:
    queries, documents = unit_vectors(20, seed=1), unit_vectors(500, seed=2)
    scores, positions = build_index(documents, backend, CPU)(queries, 30)
    expected, order = stable_sort(queries, documents, 30)
    np.testing.assert_array_equal(positions, order)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert (scores.dtype, positions.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("backend", [*EXACT, *APPROXIMATE], ids=lambda backend: backend.backend)
def test_the_same_documents_give_the_same_index(backend: Search) -> None:
    queries, documents = unit_vectors(50, seed=1), unit_vectors(2000, seed=2)
    some = backend.model_copy(update={"probes": 2}) if backend is LISTS else backend
    assert_same_bits(build_index(documents, some, CPU)(queries, 20), build_index(documents, some, CPU)(queries, 20))


@pytest.mark.parametrize("backend", [*EXACT, *APPROXIMATE], ids=lambda backend: backend.backend)
def test_equal_scores_keep_corpus_order_in_every_backend(backend: Search) -> None:
    documents = np.repeat(unit_vectors(25, seed=2), 2, axis=0)  # 2 n and 2 n + 1 are the same
    _, positions = build_index(documents, backend, CPU)(unit_vectors(5, seed=1), 50)
    np.testing.assert_array_equal(positions[:, 1::2], positions[:, ::2] + 1)


def test_a_row_that_lists_do_not_fill_ends_in_minus_one() -> None:
    documents = np.repeat(np.eye(2, dtype=np.float32), 10, axis=0)  # two lists of ten
    lists = LISTS.model_copy(update={"lists": 2, "probes": 1})
    scores, positions = build_index(documents, lists, CPU)(np.eye(2, dtype=np.float32)[:1], 15)
    assert positions.tolist() == [[*range(10), -1, -1, -1, -1, -1]]
    assert scores[0, :10].tolist() == [1.0] * 10
    assert (scores[0, 10:] == -np.inf).all()


def test_recall_is_the_share_of_the_exact_neighbours() -> None:
    queries, documents = unit_vectors(4, seed=1), unit_vectors(50, seed=2)

    def forget_half(query_embeddings: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores, positions = top_k(query_embeddings, documents, k, device=CPU)
        positions[:, k // 2 :] = -1
        return scores, positions

    assert recall(forget_half, queries, documents, 10, seed=0, device=CPU) == 0.5
    exact = build_index(documents, EXACT[0], CPU)
    assert recall(exact, queries, documents, 10, seed=0, device=CPU) == 1.0
    assert recall(exact, queries[:0], documents, 10, seed=0, device=CPU) == 1.0


def test_recall_asks_a_sample_of_the_queries() -> None:
    queries, documents = unit_vectors(300, seed=1), unit_vectors(50, seed=2)
    asked = []

    def remember(query_embeddings: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        asked.append(query_embeddings)
        return top_k(query_embeddings, documents, k, device=CPU)

    for seed in (0, 0, 1):
        recall(remember, queries, documents, 10, seed=seed, device=CPU)
    assert [len(sample) for sample in asked] == [index.SAMPLE_QUERIES] * 3
    np.testing.assert_array_equal(asked[0], asked[1])
    assert not np.array_equal(asked[0], asked[2])


@pytest.mark.parametrize("backend", APPROXIMATE, ids=lambda backend: backend.backend)
def test_an_index_finds_most_neighbours_and_too_few_is_an_error(backend: InvertedLists | Graph) -> None:
    queries, documents = unit_vectors(100, seed=1), unit_vectors(1000, seed=2)
    few = backend.model_copy(update={"probes": 1, "search_depth": 10, "build_depth": 10, "links": 2})
    shares = [
        recall(build_index(documents, some, CPU), queries, documents, 10, seed=0, device=CPU) for some in (backend, few)
    ]
    check_recall(backend, shares[0])
    with pytest.raises(InputError, match=r"search: min_recall: expected 0\.9 of the exact neighbours, found 0\.\d"):
        check_recall(few, shares[1])


def test_exact_backends_need_no_recall() -> None:
    for backend in EXACT:
        check_recall(backend, 0.0)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        (LISTS.model_copy(update={"lists": 101}), r"search: lists: expected at most one for each of 100 documents"),
        (LISTS.model_copy(update={"probes": 17}), r"search: probes: expected at most the 16 lists, got 17"),
        (GRAPH.model_copy(update={"search_depth": 9}), r"search: search_depth: expected at least 10, .* got 9"),
    ],
)
def test_settings_that_do_not_fit_are_refused(backend: Search, message: str) -> None:
    documents = unit_vectors(100, seed=2)
    with pytest.raises(InputError, match=message):
        build_index(documents, backend, CPU)(documents[:1], 10)


def test_more_neighbours_than_faiss_finds_on_a_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class GpuIndexFlat(faiss.IndexFlatIP):
        """What faiss calls an index on a GPU."""

    documents = unit_vectors(2049, seed=2)
    monkeypatch.setattr(faiss, "IndexFlatIP", GpuIndexFlat)
    find = build_index(documents, EXACT[1], CPU)
    assert find(documents[:1], 2048)[0].shape == (1, 2048)
    with pytest.raises(InputError, match="expected at most 2,048 neighbours, .* on a GPU, got 2,049"):
        find(documents[:1], 2049)


@pytest.mark.gpu
@pytest.mark.parametrize("backend", [*EXACT, LISTS], ids=lambda backend: backend.backend)
def test_a_gpu_finds_the_same_documents(backend: Search) -> None:
    queries, documents = unit_vectors(300, seed=1), unit_vectors(20_000, seed=2)
    _, positions = build_index(documents, backend, torch.device("cuda"))(queries, 50)
    assert (positions == top_k(queries, documents, 50, device=CPU)[1]).mean() > 0.999  # products differ in last bits
