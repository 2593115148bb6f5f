"""Train queries that give away queries of dev or test."""

import pandas as pd
import pytest

from retune.datasets.leaks import find_leaks
from retune.text import near_duplicates


def leaks_of(train: list[str], test: list[str], *, near_duplicate: float = 0.7, min_words: int = 4) -> pd.DataFrame:
    rows = [(f"{n}", "train", text) for n, text in enumerate(train)]
    rows += [(f"{n}", "test", text) for n, text in enumerate(test)]
    queries = pd.DataFrame(rows, columns=["query_id", "split", "text"])
    return find_leaks(queries, near_duplicate=near_duplicate, min_words=min_words)


def kinds(train: list[str], test: list[str], **limits: float) -> dict[tuple[int, int], str]:
    """Return the kind of each leak found, by the numbers of its train and its test query."""
    found = leaks_of(train, test, **limits)
    pairs = zip(found["train_query_id"].astype(int), found["query_id"].astype(int), strict=True)
    return dict(zip(pairs, found["kind"], strict=True))


@pytest.mark.parametrize(
    "train", ["What is a graph?", "what  is a GRAPH?", "What is a ｇraph?", "What is a gr\u00adaph?"]
)
def test_equal_but_for_case_spaces_invisible_signs_and_compatible_forms_is_exact(train: str) -> None:
    assert kinds([train], ["What is a graph?"]) == {(0, 0): "exact"}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("solve x^2 + 1 = 0 over the reals", "x^2 - 1 = 0"),
        ("c++", "c#"),
        ("???", "!!!"),
        ("😀😀", "!!!"),
        ("What is 2 + 2?", "What is 3 * 7?"),
        ("what is the capital of france", "what is the capital of germany"),
        ("invert a matrix", "how do i invert a matrix of full rank over the complex numbers"),
    ],
)
def test_different_queries_are_no_leak(train: str, test: str) -> None:
    assert kinds([train], [test]) == {}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Please tell me, how do I invert a matrix of full rank in Python?", "How do I invert a matrix?"),
        ("请问北京今天天气怎么样呢", "北京今天天气怎么样"),
        ("ช่วยบอกฉันว่ากรุงเทพมีประชากรกี่คนในปีนี้", "กรุงเทพมีประชากรกี่คน"),
        ("\U00020000\U00020001\U00020002\U00020003\U00020004\U00020005", "\U00020001\U00020002\U00020003\U00020004"),
    ],
)
def test_test_query_inside_a_longer_train_query_is_found(train: str, test: str) -> None:
    assert kinds([train], [test], near_duplicate=1.0) == {(0, 0): "contains"}


def test_short_queries_are_not_looked_for_inside_others() -> None:
    assert kinds(["why is the sky blue today of all days"], ["the sky blue"]) == {}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        # ten words, one changed: 9 + 7 shared of 19 + 19 - 16, 0.73
        ("how many people live in the city of Paris today", "how many people live in the town of Paris today"),
        # 14 signs, one changed: 13 + 11 shared of 27 + 27 - 24, 0.8
        ("北京市的人口总数是多少万人呢", "北京市的人口总量是多少万人呢"),
    ],
)
def test_one_word_changed_is_a_near_duplicate(train: str, test: str) -> None:
    assert kinds([train], [test]) == {(0, 0): "near_duplicate"}
    assert kinds([train], [test], near_duplicate=0.85) == {}


def test_near_duplicates_are_found_among_many() -> None:
    base = [[f"w{n}x{k}" for k in range(12)] for n in range(200)]
    train = [" ".join([*words[:5], "changed", *words[6:]]) for words in base]
    found = kinds(train, [" ".join(words) for words in base])
    assert found == {(n, n): "near_duplicate" for n in range(200)}


def test_equal_held_out_queries_are_one_row_with_their_number_and_dev_counts_too() -> None:
    rows = [("a", "train"), ("b", "dev"), ("c", "test"), ("d", "test")]
    queries = pd.DataFrame([(*row, "one and the same") for row in rows], columns=["query_id", "split", "text"])
    found = find_leaks(queries, near_duplicate=0.8, min_words=4)
    assert found[["query_id", "split", "queries", "similarity"]].to_numpy().tolist() == [
        ["b", "dev", 1, 1.0],
        ["c", "test", 2, 1.0],
    ]


def test_train_query_has_at_most_ten_pairs() -> None:
    test = [f"what is the meaning of the word number {n} in this text" for n in range(50)]
    assert len(leaks_of(["what is the meaning of the word number x in this text"], test)) == 10


@pytest.mark.parametrize("shape", ["what is the meaning of {n} x{n}", "the same query always", "say {n}"])
def test_templates_and_copies_are_compared_a_few_times_each(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    jaccard = near_duplicates.jaccard
    monkeypatch.setattr(near_duplicates, "jaccard", lambda one, other: compared.append(1) or jaccard(one, other))
    texts = [shape.format(n=f"word{n}") for n in range(1000)]
    leaks_of(texts, texts, min_words=5)
    assert len(compared) < 30 * len(texts)
