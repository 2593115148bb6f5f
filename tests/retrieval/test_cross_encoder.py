"""Cross-encoders: the scores of sentence-transformers, whatever else is scored, and no pair scored twice."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import CrossEncoder

from retune.core.errors import InputError
from retune.encoding.batching import Batching
from retune.encoding.compute import Cache, Compute
from retune.encoding.fingerprint import ModelFiles
from retune.fetching import fetch, source
from retune.models.directory import load_cross_encoder, read_encoding
from retune.models.encoding_settings import Encoding
from retune.params.fetch import Fetch
from retune.retrieval import cross_encoder
from retune.retrieval.cross_encoder import CrossEncoderScorer, Tokens
from tests.support.cross_encoders import save_tiny_cross_encoder
from tests.support.repository import WORDS

COMPUTE = Compute(device="cpu", token_budget=512)
PAIRS = [  # of 13 to 52 tokens, special tokens included; many of 33 to 48, ten of which are a batch
    (
        " ".join(WORDS[(n + step) % 20] for step in range(1 + n % 7)),
        " ".join(WORDS[(3 * n + step) % 20] for step in range(9 + n % 34)),
    )
    for n in range(60)
]
LONG = [("sum " * 50, "graph"), ("sum", "graph " * 90), ("sum " * 40, "graph " * 45)]  # cut to 64 tokens
Write = Callable[..., Path]
some_rows = st.lists(st.integers(0, len(PAIRS) - 1), min_size=1, max_size=40)
with_fixtures = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def write(
    tiny_transformer: Path, encoding_values: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> Write:
    """Fetch a tiny cross-encoder with an activation and values of one's own."""

    def write(activation: str = "", **changes: object) -> Path:
        folder = tmp_path_factory.mktemp("scorer")
        path = save_tiny_cross_encoder(tiny_transformer, folder / "raw", activation=activation)
        own = {"pooling": "as_saved", "document_max_length": 32, "sha256": None} | changes
        params = Fetch.parse(
            "fetch.tiny", encoding_values | own | {"source": "hub", "repo": "o/n", "revision": "a" * 40}
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(source, "snapshot_download", lambda repo, **options: str(path))
            fetch.fetch(params, folder / "scorer", where="params.yaml: fetch.tiny")
        return folder / "scorer"

    return write


@pytest.fixture(scope="module")
def folder(write: Write) -> Path:
    return write()


@pytest.fixture(scope="module")
def scorer(folder: Path) -> CrossEncoderScorer:
    return CrossEncoderScorer.load(folder, COMPUTE)


def score(scorer: CrossEncoderScorer, pairs: list[tuple[str, str]]) -> np.ndarray:
    return scorer.score([query for query, _ in pairs], [document for _, document in pairs])


@pytest.mark.parametrize("activation", ["", "torch.nn.modules.linear.Identity"])
def test_same_scores_as_plain_sentence_transformers(write: Write, activation: str) -> None:
    folder = write(activation, query_prefix="read ")
    theirs = CrossEncoder(str(folder), device="cpu").predict(PAIRS + LONG)
    ours = score(CrossEncoderScorer.load(folder, COMPUTE), PAIRS + LONG)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.ptp(ours) > 0.3  # else agreement says nothing
    assert (ours.min() < 0) == bool(activation)  # a sigmoid by default


def test_document_prefix_is_put_before_the_document(write: Write, scorer: CrossEncoderScorer) -> None:
    other = CrossEncoderScorer.load(write(document_prefix="node "), COMPUTE)
    np.testing.assert_array_equal(other.score(["sum"], ["path"]), scorer.score(["sum"], ["node path"]))


def test_the_two_texts_of_a_pair_are_told_apart(scorer: CrossEncoderScorer) -> None:
    tokens = scorer.tokenize([("sum", "graph edge")])[0][0]
    assert tokens["token_type_ids"] == [0, 0, 0, 1, 1, 1]  # [CLS] sum [SEP] graph edge [SEP]
    assert len(set(scorer.score(["sum", "graph", "sum graph"], ["graph", "sum", ""]))) == 3


def test_longer_text_of_a_pair_is_cut_first(scorer: CrossEncoderScorer) -> None:
    (first, second, both), is_cut = scorer.tokenize(LONG)
    assert is_cut == [False, True, True]
    assert [len(tokens["input_ids"]) for tokens in (first, second, both)] == [54, 64, 64]
    assert [sum(tokens["token_type_ids"]) for tokens in (first, second, both)] == [
        2,
        61,
        32,
    ]  # the last [SEP] is of the document


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def alone(request: pytest.FixtureRequest, write: Write) -> tuple[CrossEncoderScorer, np.ndarray]:
    """A scorer in each number format, and the scores of pairs scored one by one; a sigmoid would hide bits."""
    folder = write("torch.nn.modules.linear.Identity")
    model = load_cross_encoder(folder, "cpu").to(getattr(torch, request.param))
    scorer = CrossEncoderScorer(model, read_encoding(folder), COMPUTE)
    return scorer, np.concatenate([score(scorer, [pair]) for pair in PAIRS])


@pytest.mark.slow
@with_fixtures
@given(order=st.permutations(range(len(PAIRS))), count=st.integers(1, len(PAIRS)))
def test_score_does_not_depend_on_the_other_pairs(
    alone: tuple[CrossEncoderScorer, np.ndarray], order: list[int], count: int
) -> None:
    scorer, expected = alone
    for rows in (order, order[:count]):
        np.testing.assert_array_equal(score(scorer, [PAIRS[row] for row in rows]), expected[rows])


def test_many_pairs_are_scored_window_by_window(
    alone: tuple[CrossEncoderScorer, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer, expected = alone
    monkeypatch.setattr(cross_encoder, "WINDOW", 7)
    np.testing.assert_array_equal(score(scorer, PAIRS), expected)


def test_no_pair_gives_no_score(scorer: CrossEncoderScorer) -> None:
    assert scorer.score([], []).shape == (0,)


def test_queries_and_documents_come_in_pairs(scorer: CrossEncoderScorer) -> None:
    with pytest.raises(ValueError, match="shorter"):
        scorer.score(["sum", "mean"], ["graph"])


def test_progress_bar_shows_pairs_a_second(scorer: CrossEncoderScorer, capsys: pytest.CaptureFixture[str]) -> None:
    score(scorer, PAIRS)
    assert "score pairs:   0%|          | 0/60 [00:00<?, ?pair/s]" in capsys.readouterr().err


def test_score_that_is_not_finite_is_refused(folder: Path) -> None:
    model = load_cross_encoder(folder, "cpu")
    next(model.parameters()).data.fill_(float("nan"))
    message = (
        "expected finite scores, got one that is not finite for the query 'sum' and the document 'graph'; try dtype"
    )
    with pytest.raises(InputError, match=message):
        CrossEncoderScorer(model, read_encoding(folder), COMPUTE).score(["sum"], ["graph"])


class Forward:
    """Takes the place of a scorer's `forward`, notes the batches, and has memory for so many tokens."""

    def __init__(self, scorer: CrossEncoderScorer, memory: int = 10**9) -> None:
        self.forward, self.memory, self.shapes = scorer.forward, memory, []
        scorer.forward = self

    def __call__(self, tokens: list[Tokens], length: int) -> np.ndarray:
        self.shapes.append((len(tokens), length))
        if len(tokens) * length > self.memory:
            raise torch.OutOfMemoryError
        return self.forward(tokens, length)


def test_pairs_of_all_queries_share_batches_longest_first(folder: Path) -> None:
    scorer = CrossEncoderScorer.load(folder, COMPUTE)
    forward = Forward(scorer)
    # 40 queries of one pair each, all of 5 tokens or of 34: two batches of 32 rows of 16, two of 10 rows of 48.
    pairs = [(word, other) for word in WORDS[:6] for other in WORDS[:6]] + [(word, "sum " * 30) for word in WORDS[:20]]
    score(scorer, pairs)
    assert forward.shapes == [(10, 48)] * 2 + [(32, 16)] * 2


def test_equal_pairs_are_scored_once(folder: Path) -> None:
    scorer = CrossEncoderScorer.load(folder, COMPUTE)
    forward = Forward(scorer)
    scores = scorer.score(["sum"] * 99, ["graph"] * 99)
    assert forward.shapes == [(32, 16)]
    assert len(set(scores)) == 1


def test_out_of_memory_halves_the_budget_and_goes_on(
    folder: Path, alone: tuple[CrossEncoderScorer, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    scorer = CrossEncoderScorer.load(folder, COMPUTE)
    scorer.batching = Batching(COMPUTE.model_copy(update={"token_budget": 2048}), torch.device("cuda"))
    forward = Forward(scorer, 1024)
    np.testing.assert_allclose(score(scorer, PAIRS), score(CrossEncoderScorer.load(folder, COMPUTE), PAIRS), atol=1e-5)
    assert forward.shapes[:2] == [(32, 64), (16, 64)]  # 2048 and 1024 tokens
    assert "out of memory with 2048 tokens per batch; continuing with half" in caplog.text


def test_memory_too_small_for_the_least_batch_is_an_error(folder: Path) -> None:
    scorer = CrossEncoderScorer.load(folder, COMPUTE)
    Forward(scorer, 256)
    with pytest.raises(InputError, match="out of memory on cpu with 512 tokens per batch, the minimum; use a shorter"):
        score(scorer, PAIRS)


def cached(folder: Path, cache: Path, **changes: object) -> tuple[CrossEncoderScorer, Forward]:
    compute = Compute(device="cpu", token_budget=512, cache=Cache(folder=cache, max_gb=1.0))
    encoding = Encoding(**read_encoding(folder).model_dump() | changes)
    scorer = CrossEncoderScorer(load_cross_encoder(folder, "cpu"), encoding, compute, files=ModelFiles.of(folder))
    return scorer, Forward(scorer)


@pytest.mark.slow
@with_fixtures
@given(first=some_rows, second=some_rows)
def test_bits_are_the_same_cold_warm_and_in_part(
    first: list[int],
    second: list[int],
    scorer: CrossEncoderScorer,
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    expected = score(scorer, PAIRS)
    cache = tmp_path_factory.mktemp("cache")
    for rows in (first, second, first + second):
        warmer, forward = cached(folder, cache)
        np.testing.assert_array_equal(score(warmer, [PAIRS[row] for row in rows]), expected[rows])
    assert forward.shapes == []


def test_adding_pairs_scores_only_those(folder: Path, tmp_path: Path) -> None:
    scorer, forward = cached(folder, tmp_path)
    score(scorer, PAIRS)
    count = len(forward.shapes)
    again, forward = cached(folder, tmp_path)
    score(again, [*PAIRS, ("prime", "factor integer"), ("integer", "prime")])
    assert count > 1
    assert forward.shapes == [(32, 16)]


def test_cut_pairs_are_counted_and_reported_with_cached_scores_too(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for pairs in (LONG[:2], LONG):  # the second scorer computes the score of one pair
        scorer, _ = cached(folder, tmp_path)
        score(scorer, pairs)
    score(scorer, [LONG[1], LONG[1], PAIRS[0]])  # a pair counts each time
    assert (scorer.truncated, scorer.num_scored) == ({"pairs": 4}, 6)
    assert [line for line in caplog.messages if "cut" in line] == [
        f"pairs: {cut} of {count} cut to 64 tokens" for cut, count in ((1, 2), (2, 3), (2, 3))
    ]


def test_pairs_of_the_same_words_are_different_pairs(folder: Path, tmp_path: Path) -> None:
    pairs = [("sum", "graph edge"), ("sum graph", "edge"), ("graph edge", "sum"), ('sum", "graph', "edge")]
    warm, _ = cached(folder, tmp_path)
    assert len({float(score(warm, [pair])[0]) for pair in pairs}) == 4
    np.testing.assert_array_equal(score(warm, pairs), score(CrossEncoderScorer.load(folder, COMPUTE), pairs))


@pytest.mark.parametrize("changes", [{"query_max_length": 8}, {"document_prefix": "node "}, {"query_prefix": "node "}])
def test_scores_of_other_settings_are_not_taken(folder: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    score(cached(folder, tmp_path)[0], PAIRS)
    scorer, forward = cached(folder, tmp_path, **changes)
    score(scorer, PAIRS)
    assert forward.shapes


def test_loaded_scorer_keeps_its_scores(folder: Path, tmp_path: Path) -> None:
    compute = COMPUTE.model_copy(update={"cache": Cache(folder=tmp_path, max_gb=1.0)})
    score(CrossEncoderScorer.load(folder, compute), PAIRS)
    scorer = CrossEncoderScorer.load(folder, compute)
    forward = Forward(scorer)
    score(scorer, PAIRS)
    assert forward.shapes == []


def test_embedding_model_is_no_scorer(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="tiny: expected a cross-encoder, got another model"):
        CrossEncoderScorer.load(tiny_model, COMPUTE)


def test_model_is_loaded_for_pairs_that_are_not_cached_only(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = COMPUTE.model_copy(update={"cache": Cache(folder=tmp_path, max_gb=1.0)})
    expected = score(CrossEncoderScorer.load(folder, compute), PAIRS)
    loaded = []
    monkeypatch.setattr(
        cross_encoder,
        "load_cross_encoder",
        lambda folder, device: loaded.append(folder) or load_cross_encoder(folder, device),
    )
    warm = CrossEncoderScorer.load(folder, compute)
    np.testing.assert_array_equal(score(warm, PAIRS[::-1]), expected[::-1])
    assert loaded == []
    warm.score(["prime"], ["factor integer"])
    assert loaded == [folder]


def test_embedding_model_is_refused_as_scorer_at_once(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="tiny: expected a cross-encoder, got another model$"):
        CrossEncoderScorer.load(tiny_model, COMPUTE)
