"""What is exported reads back as the same records, but for what a layout has no place for."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from retune.core import records
from retune.datasets import statistics
from retune.layouts.export import export
from tests.support.conversion import Converted, convert_raw
from tests.support.small_sets import a_split, mined_set, table

OWN: dict[str, dict[str, Any]] = {
    "flagembedding": {},
    "beir": {},
    "rag_json": {"val_is_test": False},
    "sentence_transformers": {"merge_queries": True, "relevant_from": None},
    "mteb": {"subset": None, "nano_beir": False},
}
"""Parameters of each format, beside those that all share."""

SIGNS = ["a", "B", "1", "é", "中", "🙂", " ", "\t", "\n", "\r\n", "\u2028", "\x85", "\ufeff", '"', "'", "\\", ",", "{"]
TEXTS = (
    st.lists(st.sampled_from(SIGNS), min_size=1, max_size=8).map("".join)
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
).filter(lambda text: not text.isspace())
IDS = ["1", "007", "a b", "docs/x.md#1-2", '"q"', "é", "2.0", "d\u2028"]

reproducible = settings(
    deadline=None,
    max_examples=25,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.generate, Phase.shrink],
)


@pytest.fixture(autouse=True, scope="module")
def _no_language_guess() -> Any:
    """Its model takes longer to load than the rest of a small conversion."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "languages", lambda texts: {})
        yield


@st.composite
def some_dataset(draw: st.DrawFn) -> records.Dataset:
    texts = draw(st.lists(TEXTS, min_size=3, max_size=10, unique=True))
    num_documents = draw(st.integers(2, min(6, len(texts) - 1)))
    titles = [draw(st.none() | TEXTS) for _ in range(num_documents)]
    corpus = table(list(zip(IDS, titles, texts[:num_documents], strict=False)), "doc_id", "title", "text")
    joined = records.document_texts(corpus)
    assume(len({*joined, *texts}) == len(texts) + sum(title is not None for title in titles))
    parts: dict[str, tuple[list, list, list]] = {name: ([], [], []) for name in records.SPLITS}
    for number, text in enumerate(texts[num_documents:]):
        query_id = IDS[-1 - number]
        queries, qrels, scores = parts[draw(st.sampled_from(records.SPLITS))]
        queries.append((query_id, text, draw(st.none() | TEXTS), draw(st.none() | TEXTS)))
        grades = draw(st.lists(st.sampled_from([None, 0, 0, 1, 2]), min_size=num_documents, max_size=num_documents))
        grades[draw(st.integers(0, num_documents - 1))] = draw(st.sampled_from([1, 1, 3]))
        judged = [(query_id, doc_id, grade) for doc_id, grade in zip(IDS, grades, strict=False) if grade is not None]
        qrels += judged
        if draw(st.booleans()):
            scores += [(query_id, doc_id, draw(st.floats(-9, 9))) for _, doc_id, _ in judged]
    return records.Dataset(corpus, {name: a_split(*part) for name, part in parts.items()})


def content(corpus: pd.DataFrame, splits: dict[str, records.Split]) -> dict[str, dict]:
    """All a data set says, in a form that compares: an empty prompt or answer means none."""

    def rows(frame: pd.DataFrame) -> list[tuple]:
        return [
            tuple(None if pd.isna(value) or value == "" else value for value in row)
            for row in frame.itertuples(index=False)
        ]

    scores = [split.scores for split in splits.values() if split.scores is not None]
    return {
        "documents": {doc_id: (title, text) for doc_id, title, text in rows(corpus)},
        "queries": {row[0]: (name, *row[1:]) for name, split in splits.items() for row in rows(split.queries)},
        "qrels": {row[:2]: row[2] for split in splits.values() for row in rows(split.qrels)},
        "scores": {row[:2]: row[2] for frame in scores for row in rows(frame)},
    }


def exported_and_converted(layout: str, write: Any, has_queries: set[str]) -> Converted:
    """Write a set with `write(folder)`, export it, and convert the export."""
    given = {name: "given" for name in ("dev", "test") if name in has_queries}
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write(root / "set")
        export(layout, root / "set", root / "raw")
        return convert_raw(root / "raw", root / "out", layout, **OWN[layout] | given)


def round_trip(layout: str, dataset: records.Dataset) -> Converted:
    has_queries = {name for name, split in dataset.splits.items() if len(split.queries)}
    return exported_and_converted(layout, lambda folder: records.write_dataset(folder, dataset), has_queries)


def joined(dataset: records.Dataset) -> dict[str, tuple[None, str]]:
    texts = records.document_texts(dataset.corpus)
    return {doc_id: (None, text) for doc_id, text in zip(dataset.corpus["doc_id"], texts, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["beir", "mteb"])
@reproducible
@given(dataset=some_dataset())
def test_all_but_scores_reads_back(layout: str, dataset: records.Dataset) -> None:
    back = round_trip(layout, dataset)
    assert content(back.corpus, back.splits) == content(dataset.corpus, dataset.splits) | {"scores": {}}


@pytest.mark.slow
@reproducible
@given(dataset=some_dataset())
def test_rag_json_reads_back_but_for_titles_prompts_grades_and_scores(dataset: records.Dataset) -> None:
    back = round_trip("rag_json", dataset)
    expected = content(dataset.corpus, dataset.splits)
    expected["documents"] = joined(dataset)
    expected["queries"] = {
        key: (name, text, None, answer) for key, (name, text, _, answer) in expected["queries"].items()
    }
    expected["qrels"] = {key: min(grade, 1) for key, grade in expected["qrels"].items()}
    assert content(back.corpus, back.splits) == expected | {"scores": {}}


@pytest.mark.slow
@reproducible
@given(dataset=some_dataset())
def test_flagembedding_reads_back_but_for_titles(dataset: records.Dataset) -> None:
    back = round_trip("flagembedding", dataset)
    expected = content(dataset.corpus, dataset.splits)
    assert content(back.corpus, back.splits) == expected | {"documents": joined(dataset)}


def pairs_and_negatives(dataset: records.Dataset, name: str) -> set[tuple[str, str, int]]:
    """A split's positives, and of each query as many negatives, in order, as every query has."""
    texts = {doc_id: text for doc_id, (_, text) in joined(dataset).items()}
    split, expected = dataset.splits[name], set()
    by_query = {query_id: frame for query_id, frame in split.qrels.groupby("query_id")}
    fewest = min(int((frame["relevance"] == 0).sum()) for frame in by_query.values()) if by_query else 0
    for query_id, text in zip(split.queries["query_id"], split.queries["text"], strict=True):
        frame = by_query[query_id]
        expected |= {(text, texts[doc_id], 1) for doc_id in frame.loc[frame["relevance"] > 0, "doc_id"]}
        expected |= {(text, texts[doc_id], 0) for doc_id in frame.loc[frame["relevance"] == 0, "doc_id"][:fewest]}
    return expected


@pytest.mark.slow
@reproducible
@given(dataset=some_dataset())
def test_sentence_transformers_reads_back_as_texts(dataset: records.Dataset) -> None:
    back = round_trip("sentence_transformers", dataset)
    for name in records.SPLITS:
        assert back.judged(name) == pairs_and_negatives(dataset, name)


@pytest.mark.parametrize("layout", ["beir", "mteb", "rag_json", "flagembedding"])
def test_mined_set_reads_back_with_its_negatives_judged_irrelevant(layout: str) -> None:
    back = exported_and_converted(layout, lambda folder: records.write_mined(folder, mined_set()), {"train"})
    found = content(back.corpus, back.splits)
    assert set(found["documents"]) == {"a", "b", "c"}
    assert {key: row[:2] for key, row in found["queries"].items()} == {"q1": ("train", "one?"), "q2": ("train", "two?")}
    negatives = {("q1", "c"): 0, ("q1", "a"): 0, ("q2", "c"): 0}
    assert found["qrels"] == {("q1", "b"): 1, ("q2", "a"): 1, ("q2", "b"): 1} | negatives
    if layout == "flagembedding":
        assert found["scores"][("q1", "c")] == 0.75
        assert found["scores"][("q2", "a")] == 0.9  # not 0.8999999761581421
