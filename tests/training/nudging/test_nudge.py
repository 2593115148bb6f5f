"""NUDGE as a tuned model: what it writes, what evaluation searches, and what is refused."""

import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from retune.core.errors import InputError
from retune.core.records import Dataset, Split, empty_split, read_corpus, write_dataset
from retune.encoding.encoder import Encoder
from retune.evaluation.evaluate import Evaluation, measure
from retune.merging.weights import Mergeable
from retune.mining.inputs import load_models
from retune.models.scope import SCOPE, VECTORS, read_addition
from retune.params.eval import Measuring
from retune.params.predict import Predict
from retune.retrieval import prediction
from retune.training import finetune
from retune.training.spec import Task
from tests.support.parameters import COMPUTE, MEASURING
from tests.support.training_task import corpus, params, split, task

DATASET = "dataset"  # the folder that `task` writes


def asked_otherwise() -> Split:
    """The queries of `split` with a word of the neighbouring document, which the base finds harder."""
    queries = split()
    texts = queries.queries["text"]
    return Split(
        queries.queries.assign(text=texts + " " + texts.shift(5, fill_value="tree").str.split().str[0]), queries.qrels
    )


def nudged(base: Path, folder: Path, *, variant: str = "m", dev: Split | None = None, **changes: object) -> Task:
    """Move the documents, and return the task."""
    described = task(base, folder, dev=dev, method="nudge", nudge={"variant": variant}, **changes)
    finetune.finetune(described, folder / "model", folder / "model.tsv")
    return described


def measured(model: Path, dataset: Path, **changes: object) -> Evaluation:
    params = Measuring(**MEASURING | {"dtype": "float32"} | changes)
    return measure(model, dataset, params, COMPUTE, excluded=dataset / "none", seed=1)


def scored(model: Path, folder: Path, test: Split, name: str = DATASET) -> pd.DataFrame:
    write_dataset(folder / name, Dataset(corpus(), {"train": empty_split(), "dev": test, "test": test}))
    return measured(model, folder / name).per_query


@pytest.mark.parametrize("variant", ["m", "n"])
def test_moved_documents_are_searched_for_their_data_set_alone(tiny_model: Path, tmp_path: Path, variant: str) -> None:
    nudged(tiny_model, tmp_path, variant=variant, dev=asked_otherwise())
    model = tmp_path / "model"
    history = pd.read_csv(tmp_path / "model.tsv", sep="\t")
    assert history["coverage"].tolist() == [1.0]
    assert f"gamma {history['gamma'].iloc[0]:.4g}" in (model / "model-card.md").read_text()
    at_home, elsewhere = (scored(model, tmp_path, asked_otherwise(), name) for name in (DATASET, "other"))
    base = scored(tiny_model, tmp_path, asked_otherwise(), "other")
    pd.testing.assert_frame_equal(elsewhere, base)
    assert at_home["ndcg_at_3"].mean() == pytest.approx(history["dev_ndcg_at_3"].iloc[-1], abs=1e-5)
    assert base["ndcg_at_3"].mean() == pytest.approx(history["base_ndcg_at_3"].iloc[-1], abs=1e-5)
    assert at_home["ndcg_at_3"].mean() > base["ndcg_at_3"].mean() + 0.02
    lengths = np.linalg.norm(np.load(model / SCOPE / VECTORS), axis=1)
    assert np.allclose(lengths, 1.0, atol=1e-6) == (variant == "n")
    card = (model / "model-card.md").read_text()
    assert "Step size: gamma" in card
    assert "100.0% of the dev queries ask for" in card


def test_searches_lists_and_predictions_rank_by_inner_product_and_cosines_stay_cosines(
    tiny_model: Path, tmp_path: Path
) -> None:
    described = nudged(tiny_model, tmp_path, dev=asked_otherwise())
    vectors = np.load(tmp_path / "model" / SCOPE / VECTORS)
    asked = asked_otherwise()
    irrelevant = asked.qrels.assign(doc_id=asked.qrels["doc_id"].to_numpy()[::-1], relevance=0)
    test = replace(asked, qrels=pd.concat([asked.qrels, irrelevant], ignore_index=True))
    write_dataset(described.dev, Dataset(corpus(), {"train": empty_split(), "dev": asked, "test": test}))
    queries = Encoder.load(tiny_model, COMPUTE, dtype="float32").encode_queries(asked.queries["text"], [None] * 24)
    products = queries @ vectors.T
    for search in ({"backend": "torch"}, {"backend": "faiss_flat"}):
        found = measured(tmp_path / "model", described.dev, search=search)
        first = found.run.drop_duplicates("query_id")
        assert first["doc_id"].tolist() == [f"d{position}" for position in products.argmax(axis=1)]
        np.testing.assert_allclose(first["score"], products.max(axis=1), atol=1e-5)
    predict = Predict(model="model", dataset=DATASET, queries="queries.tsv", layout="queries", prompt=None, k=1)
    predicted = prediction.predict(tmp_path / "model", DATASET, corpus(), asked.queries, predict, COMPUTE)
    np.testing.assert_allclose(predicted["score"], products.max(axis=1), atol=1e-4)
    listed = measured(tmp_path / "model", described.dev, judged_only=[DATASET])
    assert listed.run["score"].max() == pytest.approx(np.diag(products).max(), abs=1e-5)
    cosines = np.diag(products) / np.linalg.norm(vectors, axis=1)
    assert found.pair_scores["positives"]["mean"] == pytest.approx(cosines.mean(), abs=1e-4)


def test_dev_queries_that_no_training_query_helps_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    others = corpus().assign(doc_id=lambda table: "x" + table["doc_id"], text=lambda table: table["text"] + " tree")
    described = task(tiny_model, tmp_path, method="nudge", nudge={"variant": "m"})
    dev = Split(split().queries, split().qrels.assign(doc_id=lambda table: "x" + table["doc_id"]))
    both = pd.concat([corpus(), others], ignore_index=True)
    write_dataset(described.dev, Dataset(both, {"train": empty_split(), "dev": dev, "test": empty_split()}))
    with pytest.raises(InputError, match=r"got none of 24; divide the queries, not the documents: .*split_by: query"):
        finetune.finetune(described, tmp_path / "model", tmp_path / "model.tsv")
    assert not (tmp_path / "model").exists()


def test_step_of_zero_is_reported(tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        nudged(tiny_model, tmp_path, dev=split())  # the base finds every document
    assert "gamma is 0, so no document moves: no step raises dev ndcg_at_3" in caplog.text
    card = (tmp_path / "model" / "model-card.md").read_text()
    assert re.search(r"gamma 0 \(\d+ of \d+ steps score the same; the smallest was taken\): dev ndcg_at_3", card)
    vectors = Encoder.load(tiny_model, COMPUTE, dtype="float32").encode_documents(corpus()["text"].tolist())
    np.testing.assert_array_equal(np.load(tmp_path / "model" / SCOPE / VECTORS), vectors)


def test_other_documents_mining_and_cut_vectors_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    described = nudged(tiny_model, tmp_path, dev=asked_otherwise())
    model = tmp_path / "model"
    changed = read_corpus(described.dev).assign(text="tree")
    with pytest.raises(InputError, match=f"expected the documents of '{DATASET}' that the model was made for"):
        read_addition(model, DATASET, changed)
    with pytest.raises(InputError, match="expected a model to mine with, got vectors that were moved"):
        load_models(model, model, described.dev, COMPUTE)
    test = Dataset(corpus(), {"train": empty_split(), "dev": split(), "test": split()})
    write_dataset(described.dev, test)
    with pytest.raises(InputError, match=f"expected a model that treats all data sets alike, .* for '{DATASET}'"):
        Mergeable(tiny_model, [model])
    with pytest.raises(InputError, match=f"expected a model that treats all data sets alike, .* for '{DATASET}'"):
        finetune.finetune(replace(described, base=model), tmp_path / "second", tmp_path / "second.tsv")
    with pytest.raises(InputError, match="eval.dims: expected null for a model with moved vectors, got 8"):
        measured(model, described.dev, dims=8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "nudge: expected a block with method nudge"),
        ({"nudge": {"variant": "m"}, "dev_documents": 10}, "dev_documents and checkpoint: expected null"),
        ({"nudge": {"variant": "x"}}, "variant"),
    ],
)
def test_parameters_that_do_not_suit(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        params(method="nudge", **changes)


def test_positives_outside_the_corpus_are_counted(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    described = task(tiny_model, tmp_path, method="nudge", nudge={"variant": "m"})
    first = replace(asked_otherwise(), qrels=split().qrels.head(20), queries=asked_otherwise().queries.head(20))
    write_dataset(described.dev, Dataset(corpus().head(20), {"train": empty_split(), "dev": first, "test": first}))
    with caplog.at_level(logging.WARNING):
        finetune.finetune(described, tmp_path / "model", tmp_path / "model.tsv")
    assert "4 of 24 positives are left out: the corpus does not have them" in caplog.text
