"""Cutting dev and test from the training queries."""

import pandas as pd
import pytest

from retune.core.errors import InputError
from retune.datasets.splitting import assign_splits
from retune.params.convert import Convert
from tests.support.parameters import CONVERT


def cut(
    num_queries: int, documents: list[tuple[int, int, int]], *, splits: list[str] | None = None, seed: int = 0, **values
) -> pd.Series:
    """Split queries q0, q1, ... in groups of two; judgments are (query, document, relevance) numbers."""
    names = [f"q{n}" for n in range(num_queries)]
    groups = [f"g{n // 2}" for n in range(num_queries)]
    queries = pd.DataFrame({"query_id": names, "split": splits or "train", "group": groups})
    rows = [(f"q{query}", f"d{document}", grade) for query, document, grade in documents]
    qrels = pd.DataFrame(rows, columns=["query_id", "doc_id", "relevance"])
    params = Convert(**CONVERT | {"format": "beir"} | values)
    return assign_splits(queries, qrels, params, seed=seed, where="convert.x")


def own_documents(count: int) -> list[tuple[int, int, int]]:
    return [(n, n, 1) for n in range(count)]


def test_cut_takes_the_shares_and_is_seeded() -> None:
    results = [cut(100, own_documents(100), dev=0.1, test=0.3, seed=seed) for seed in (1, 1, 2)]
    assert results[0].value_counts().to_dict() == {"train": 60, "test": 30, "dev": 10}
    assert results[0].equals(results[1])
    assert not results[0].equals(results[2])


def test_share_is_rounded_down_to_whole_queries_but_at_least_one() -> None:
    # 0.01 * 184,827 = 1,848.27, as the reference document counts; scaled down: 0.01 * 299 = 2.99
    assert cut(299, own_documents(299), test=0.01)[lambda split: split == "test"].size == 2
    assert cut(20, own_documents(20), test=0.01)[lambda split: split == "test"].size == 1


@pytest.mark.parametrize("split_by", ["document", "group"])
def test_what_belongs_together_is_never_cut(split_by: str) -> None:
    # q0 and q1 share d0, q2 and q3 share d1, ...; they also share groups.
    splits = cut(40, [(n, n // 2, 1) for n in range(40)], split_by=split_by, dev=0.2, test=0.3)
    assert set(splits) == {"train", "dev", "test"}
    assert splits[0::2].tolist() == splits[1::2].tolist()


def test_given_splits_are_kept_and_dev_is_cut_from_train_alone() -> None:
    splits = cut(100, own_documents(100), splits=["train"] * 50 + ["test"] * 50, dev=0.2, test="given")
    assert splits[50:].tolist() == ["test"] * 50
    assert splits[:50].value_counts().to_dict() == {"train": 40, "dev": 10}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dev": "given"}, "dev: expected the share to cut from train, as the source has no dev split, got given"),
        ({"test": 0.5}, "test: expected given, as the source has a test split, got 0.5"),
    ],
)
def test_split_that_contradicts_the_source_is_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cut(2, own_documents(2), splits=["train", "test"], **{"test": "given"} | values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"dev": 0.001, "split_by": "document"},
            "got none in train: 3 train queries in 1 parts by document, the largest of 3",
        ),
        (
            {"test": 0.9, "split_by": "group", "dev": 0.01},
            r"got none in (dev, )?train: 3 train queries in 2 parts by group",
        ),
    ],
)
def test_split_that_ends_empty_is_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cut(3, [(0, 0, 1), (1, 0, 1), (2, 0, 1)], **values)


def test_judged_irrelevant_documents_connect_no_queries() -> None:
    shared = [(n, 20, 0) for n in range(20)]
    splits = cut(20, own_documents(20) + shared, split_by="document", test=0.5)
    assert splits.value_counts().to_dict() == {"train": 10, "test": 10}


def test_one_huge_part_stays_in_train() -> None:
    # q0 to q119 share d0; a tenth of 200 is 20, and no part above 30 goes there
    documents = [(n, 0, 1) for n in range(120)] + [(n, n, 1) for n in range(120, 200)]
    for seed in range(20):
        splits = cut(200, documents, split_by="document", dev=0.1, test=0.1, seed=seed)
        assert splits.value_counts().to_dict() == {"train": 160, "test": 20, "dev": 20}
        assert set(splits[:120]) == {"train"}
