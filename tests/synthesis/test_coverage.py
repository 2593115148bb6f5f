"""Which documents are asked about, and which belong together."""

import numpy as np
import pandas as pd
import pytest

from retune.synthesis.coverage import choose, pair_up


class Encoder:
    """Gives the vector of a topic to each text: its first character names the topic, the others nothing but noise."""

    def __init__(self, noise: float = 0.1) -> None:
        self.noise = noise

    def encode_documents(self, texts: list[str], *, ids: list[str]) -> np.ndarray:
        rng = np.random.default_rng(0)
        vectors = np.eye(16, dtype=np.float32)[[int(text[0]) for text in texts]]
        vectors += self.noise * rng.standard_normal(vectors.shape).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def corpus(sizes: list[int]) -> pd.DataFrame:
    """Documents of as many topics as sizes, with texts of 1 to 100 characters."""
    topics = [topic for topic, size in enumerate(sizes) for _ in range(size)]
    lengths = np.random.default_rng(1).integers(1, 100, len(topics))
    texts = [f"{topic}{'x' * length}" for topic, length in zip(topics, lengths, strict=True)]
    return pd.DataFrame({"doc_id": [f"d{n}" for n in range(len(texts))], "title": None, "text": texts})


def test_small_topics_are_covered_as_well_as_large_ones() -> None:
    chosen = choose(corpus([300, 20, 20, 20]), 16, Encoder(), seed=3)
    counts = chosen["text"].str[0].value_counts()
    assert len(counts) == 4
    assert counts.min() >= 2  # at random it would be 0.9
    assert chosen.equals(choose(corpus([300, 20, 20, 20]), 16, Encoder(), seed=3))


def test_chosen_lengths_are_spread_over_each_topic() -> None:
    everything = corpus([100])
    lengths = everything["text"].str.len()
    for seed in range(20):
        chosen = choose(everything, 4, Encoder(), seed=seed)["text"].str.len()
        quarters = np.searchsorted(lengths.quantile([0.25, 0.5, 0.75]), chosen)
        assert len(set(quarters)) >= 3


def test_documents_that_nearly_equal_another_come_last() -> None:
    chosen = choose(corpus([6, 6, 1, 1]), 4, Encoder(noise=0.0), seed=0)
    assert sorted(chosen["text"].str[0]) == ["0", "1", "2", "3"]
    assert len(choose(corpus([6, 6, 1, 1]), 8, Encoder(noise=0.0), seed=0)) == 8


def test_second_document_is_the_nearest_of_its_group_that_is_no_copy() -> None:
    angles = np.array([0.0, 0.05, 0.5, 0.7, 2.0])  # the first two nearly equal each other
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    doc_ids = ["a", "b", "c", "d", "e"]
    group_of = {"a": "train", "b": "train", "c": "dev", "d": "train", "e": "dev"}
    assert pair_up(doc_ids, group_of, vectors) == {"a": "d", "b": "d", "d": "b", "c": "e", "e": "c"}


@pytest.mark.parametrize("group_of", [{"a": "train", "b": "dev"}, {"a": "train", "b": "train"}])
def test_document_may_have_no_second_one(group_of: dict[str, str]) -> None:
    assert pair_up(["a", "b"], group_of, np.ones((2, 2), dtype=np.float32) / 2**0.5) == {}
