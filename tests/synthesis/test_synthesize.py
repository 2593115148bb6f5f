"""Synthetic data sets: documents, splits, rejects, counts, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retune.core.errors import InputError, ParameterError
from retune.core.files import sha256
from retune.core.records import Dataset, empty_split, write_dataset
from retune.fetching.fetch import fetch
from retune.params.fetch import Fetch
from retune.params.rerank import Rerank
from retune.params.synthesize import Synthesize
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.retrieval.system_directory import write_rerank
from retune.synthesis.synthesize import Synthetic, Task, synthesize
from tests.support.cross_encoders import save_tiny_cross_encoder
from tests.support.parameters import COMPUTE, EXTRACTION, SYNTHESIZE
from tests.synthesis.test_extractive import TEXT, corpus
from tests.synthesis.test_generated import GENERATED


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


def made(source: Path, documents: pd.DataFrame, /, **changes: object) -> Synthetic:
    write_dataset(source, Dataset(documents, {name: empty_split() for name in ("train", "dev", "test")}))
    params = Synthesize.parse("synthesize.x", SYNTHESIZE | changes)
    return synthesize(Task(source, source / "no model", source / "no prompts", params, COMPUTE, seed=0))


def numbered(count: int) -> pd.DataFrame:
    texts = [
        f"Document {n} begins here at {n}. It goes on with {n} things. The end of {n} is near." for n in range(count)
    ]
    return corpus(*texts)


def test_each_query_has_an_id_and_one_relevant_document(source: Path) -> None:
    train = made(source, numbered(3), queries_per_document=2).dataset.splits["train"]
    assert train.queries["query_id"].tolist() == ["d0-q0", "d0-q1", "d1-q0", "d1-q1", "d2-q0", "d2-q1"]
    assert train.qrels["doc_id"].tolist() == ["d0", "d0", "d1", "d1", "d2", "d2"]
    assert set(train.qrels["relevance"]) == {1}


def test_splits_are_cut_by_document_and_test_queries_may_be_of_other_kinds(source: Path) -> None:
    changes = {"queries_per_document": 3, "dev": 0.2, "test": 0.3, "test_kinds": {"title": 1.0}}
    splits = made(source, numbered(50), **changes).dataset.splits
    train, dev, test = (set(splits[name].qrels["doc_id"]) for name in ("train", "dev", "test"))
    assert (len(train), len(dev), len(test)) == (25, 10, 15)
    assert train.isdisjoint(dev | test)
    assert dev.isdisjoint(test)
    assert all(text.endswith(".") for text in splits["train"].queries["text"])  # whole sentences
    assert not any(text.endswith(".") for text in splits["test"].queries["text"])


def test_rejects_are_counted_by_reason_and_kinds_are_audited(source: Path) -> None:
    documents = corpus(TEXT, TEXT, TEXT.replace("sentence", "clause"), "Short. Short too.", title="The same title")
    kinds = {"sentence": 0.5, "heading": 0.5}
    result = made(source, documents, queries_per_document=3, kinds=kinds, extraction=EXTRACTION | {"removal_rate": 0.0})
    reasons = dict(result.rejected["reason"].value_counts())
    assert result.statistics["dropped"] == result.audit["rejected"] == reasons
    audit = result.audit
    assert reasons["sentence of several documents"] >= 6
    assert reasons["query of several documents"] == audit["kinds"]["heading"]["drafted"] == 4
    assert audit["kinds"]["sentence"]["kept"] == audit["kinds"]["sentence"]["drafted"] == 2  # of the third document
    assert audit["documents_with_queries"] == result.dataset.splits["train"].qrels["doc_id"].nunique()
    assert audit["documents"] == 4


def test_documents_are_chosen_from_every_cluster_and_all_stay_in_the_corpus(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Encoder:
        def encode_documents(self, texts: list[str], *, ids: list[str]) -> np.ndarray:
            angles = [0.0 if int(doc_id[1:]) < 36 else 1.5 + int(doc_id[1:]) / 9 for doc_id in ids]
            jitter = np.arange(len(ids)) * 1e-2
            return np.stack([np.cos(angles + jitter), np.sin(angles + jitter)], axis=1).astype(np.float32)

    monkeypatch.setattr(Task, "encoder", Encoder())
    result = made(source, numbered(40), documents=8)
    assert result.audit["documents"] == 8
    assert len(result.dataset.corpus) == 40
    chosen = {int(doc_id[1:]) for doc_id in result.dataset.splits["train"].qrels["doc_id"]}
    assert len(chosen) == 8
    assert len(chosen & {36, 37, 38, 39}) >= 3  # a tenth of the documents; a random choice would have 0.8 of them


def test_round_trip_is_that_of_a_reranker_if_the_model_is_a_system(
    source: Path,
    tiny_model: Path,
    tiny_transformer: Path,
    fetch_values: dict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = save_tiny_cross_encoder(tiny_transformer, tmp_path / "raw")
    fetched = Fetch.parse(
        "fetch.pairs",
        fetch_values
        | {
            "path": str(folder),
            "sha256": sha256(folder / "model.safetensors"),
            "document_max_length": 32,
            "pooling": "as_saved",
        },
    )
    fetch(fetched, tmp_path / "pairs", where="params.yaml: fetch.pairs")
    entry = Rerank(first_stage="tiny", reranker="pairs", k=4)
    write_rerank(entry, tiny_model, tmp_path / "pairs", tmp_path / "system")

    def score(self: CrossEncoderScorer, queries: list[str], documents: list[str]) -> np.ndarray:
        return np.array([-float("1" in text or "3" in text) for text in documents], dtype=np.float32)

    monkeypatch.setattr(CrossEncoderScorer, "score", score)
    write_dataset(source, Dataset(numbered(4), {name: empty_split() for name in ("train", "dev", "test")}))
    params = Synthesize.parse("synthesize.x", SYNTHESIZE | {"filters": {"round_trip": 2}})
    result = synthesize(Task(source, tmp_path / "system", source, params, COMPUTE, seed=0))
    assert sorted(result.dataset.splits["train"].qrels["doc_id"]) == ["d0", "d2"]
    assert set(result.rejected["reason"]) == {"its document is not among the best 2"}


def test_no_documents_are_refused(source: Path) -> None:
    with pytest.raises(InputError, match="source: expected documents to make queries for, found none"):
        made(source, corpus())


def test_corpus_without_a_usable_text_is_refused(source: Path) -> None:
    line = "expected queries for train, got none from 1 documents .only sentence of its document: 1."
    with pytest.raises(InputError, match=line):
        made(source, corpus("One."))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"kinds": {"sentence": 0.5}}, "kinds: expected shares that add up to 1, got 0.5"),
        ({"kinds": {"riddle": 1.0}}, "kinds: expected some of sentence, title, heading, keyphrases, got 'riddle'"),
        ({"kinds": {"sentence": 1.5, "title": -0.5}}, "kinds.sentence: expected a share from 0 to 1, got 1.5"),
        ({"extraction": EXTRACTION | {"removal_rate": 2.0}}, "removal_rate: expected a number from 0 to 1, got 2.0"),
        ({"extraction": EXTRACTION | {"min_words": 11}}, r"max_words: expected at least min_words \(11\), got 10"),
        ({"extraction": None}, "extraction: missing; add it, or add it to defaults.synthesize"),
        ({"method": "llm"}, "generation: missing; add it, or add it to defaults.synthesize"),
        ({"filters": {"judge": 7}}, "generation: missing; add it, or add it to defaults.synthesize"),
        ({"filters": {"judge": 7}, "generation": GENERATED["generation"]}, "llm: missing; add it, or add it to def"),
        ({"dev": 0.5, "test": 0.5}, "dev and test: expected a sum below 1, got 1"),
        ({"test_kinds": {"title": 1.0}}, "test_kinds: expected test beside it, found none"),
        ({"test": 0.3}, "test_kinds: missing; add kinds that are not in kinds, or remove test"),
        (
            {"test": 0.3, "test_kinds": {"sentence": 1.0, "title": 0.0}},
            "test_kinds: expected kinds that no model is trained on, got sentence",
        ),
        (
            GENERATED | {"test": 0.3, "test_kinds": {"question": 0.5, "title": 0.5}},
            "test_kinds: expected kinds that no model is trained on, got question",
        ),
        ({"filters": {"leak": 0.0}}, "filters.leak: expected greater than 0, got 0.0"),
        ({"method": "inverse_cloze"}, "method: expected 'extractive' or 'llm', got 'inverse_cloze'"),
    ],
)
def test_wrong_parameters_are_named(source: Path, changes: dict[str, object], line: str) -> None:
    with pytest.raises(ParameterError, match=line):
        made(source, corpus(TEXT), **changes)
