"""Train queries that give away queries of dev or test."""

import pandas as pd
import pytest

from retune.leaks import find_leaks


def kinds(train: list[str], test: list[str], *, near_duplicate: float = 0.6, min_words: int = 4) -> dict:
    """Return the kind of each leak found, by the numbers of its train and its test query."""
    rows = [(f"{n}", "train", text) for n, text in enumerate(train)] + [
        (f"{n}", "test", text) for n, text in enumerate(test)
    ]
    queries = pd.DataFrame(rows, columns=["query_id", "split", "text"])
    leaks = find_leaks(queries, near_duplicate=near_duplicate, min_words=min_words)
    pairs = zip(leaks["train_query_id"].astype(int), leaks["query_id"].astype(int), strict=True)
    return dict(zip(pairs, leaks["kind"], strict=True))


@pytest.mark.parametrize("train", ["What is a graph?", "what  is a GRAPH?", "What is a ｇraph?"])
def test_equal_but_for_case_spaces_and_compatible_forms_is_exact(train: str) -> None:
    assert kinds([train], ["What is a graph?"]) == {(0, 0): "exact"}


def test_other_signs_are_not_exact() -> None:
    assert kinds(["What is 2 + 2, in words?"], ["What is 2 - 2, in words?"]) == {(0, 0): "contains"}


def test_test_query_inside_a_longer_train_query_is_found() -> None:
    train = ["Please tell me, how do I invert a matrix of full rank in Python without numpy or scipy?"]
    assert kinds(train, ["How do I invert a matrix"]) == {(0, 0): "contains"}


def test_short_queries_are_not_looked_for_inside_others() -> None:
    assert kinds(["why is the sky blue today of all days"], ["the sky blue"]) == {}


def test_train_query_inside_a_test_query_is_no_leak() -> None:
    assert kinds(["invert a matrix"], ["how do i invert a matrix of full rank over the complex numbers"]) == {}


def test_near_duplicate_is_found_by_shared_trigrams() -> None:
    # words 1 to 12 against the same with the last one changed: 9 of 11 trigrams shared, 0.82
    words = [f"word{n}" for n in range(12)]
    assert kinds([" ".join([*words[:11], "other"])], [" ".join(words)]) == {(0, 0): "near_duplicate"}
    assert kinds([" ".join([*words[:11], "other"])], [" ".join(words)], near_duplicate=0.9) == {}


def test_chinese_signs_count_as_words() -> None:
    assert kinds(["请问北京今天天气怎么样呢"], ["北京今天天气怎么样"]) == {(0, 0): "contains"}
    assert kinds(["上海的房价"], ["北京今天天气怎么样"]) == {}


def test_all_pairs_are_listed_and_dev_counts_too() -> None:
    queries = pd.DataFrame(
        [("a", "train", "one and the same"), ("b", "dev", "one and the same"), ("c", "test", "one and the same")],
        columns=["query_id", "split", "text"],
    )
    leaks = find_leaks(queries, near_duplicate=0.8, min_words=4)
    assert leaks[["query_id", "split", "similarity"]].to_numpy().tolist() == [["b", "dev", 1.0], ["c", "test", 1.0]]


def test_near_duplicates_are_found_among_many() -> None:
    # Every test query has one train query that differs in its last word of 20: 17 of 19 trigrams, 0.89.
    base = [[f"w{n}x{k}" for k in range(20)] for n in range(200)]
    train = [" ".join([*words[:19], "changed"]) for words in base]
    found = kinds(train, [" ".join(words) for words in base], near_duplicate=0.8)
    assert found == {(n, n): "near_duplicate" for n in range(200)}
