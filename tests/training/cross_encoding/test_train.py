"""A cross-encoder from its base to the places that use it: what is learnt, scored on dev, written and resumed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sentence_transformers import CrossEncoder

from retune.core.provenance import read_origins
from retune.core.records import Dataset, Mined, document_texts, empty_split, write_dataset, write_mined
from retune.encoding.encoder import Encoder
from retune.evaluation.metrics import mean_scores, score_ranking
from retune.mining.inputs import load_models, read_inputs
from retune.mining.mine import mine
from retune.models.directory import read_encoding
from retune.params.mine import Mine
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.training import finetune
from retune.training.dev_scoring import rank
from retune.training.keeping.checkpoints import training_key
from tests.support.parameters import COMPUTE, recipe
from tests.support.training_task import corpus, split, task
from tests.support.trainings import check_resumed_after_kill, dev_score, same_bytes, train
from tests.training.cross_encoding.conftest import CROSS_ENCODER

LOSSES = ("binary", "list_wise")


def of_loss(loss: str, *, k: int = 5) -> dict[str, object]:
    return CROSS_ENCODER | {"cross_encoder": {"loss": loss, "k": k}, "hard_negatives": 2}


def told_apart() -> Mined:
    """Examples whose positives are the first half of the documents, and whose negatives are the second half."""
    documents, queries = corpus(), split().queries.iloc[:12]
    ids = documents["doc_id"].tolist()
    examples = pd.DataFrame(
        {
            "query_id": queries["query_id"],
            "positive_ids": [[doc_id] for doc_id in ids[:12]],
            "negative_ids": [[ids[12 + row], ids[12 + (row + 1) % 12]] for row in range(12)],
            "positive_scores": [[1.0]] * 12,
            "negative_scores": [[0.5, 0.5]] * 12,
            "source": "words",
        }
    )
    return Mined(examples, queries, documents)


def reranked(model: Path, first_stage: Path, k: int) -> float:
    """The dev score of the best k documents of a first stage, reordered one query at a time."""
    texts, dev = document_texts(corpus()), split()
    encoder, scorer = Encoder.load(first_stage, COMPUTE), CrossEncoderScorer.load(model, COMPUTE)
    ranking = rank(encoder, encoder.encode_documents(texts), dev, max(k, 3))
    for row, query in zip(ranking, dev.queries["text"], strict=True):
        row[:k] = row[:k][np.argsort(-scorer.score([query] * k, [texts[position] for position in row[:k]]))]
    return mean_scores(score_ranking(ranking, corpus()["doc_id"], dev, [3]))["ndcg_at_3"]


@pytest.fixture(scope="module")
def trained(pair_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of four epochs."""
    folder = tmp_path_factory.mktemp("trained")
    train(pair_base, folder, **of_loss("list_wise"), epochs=4)
    return folder


@pytest.mark.parametrize("loss", LOSSES)
def test_positives_come_to_score_above_negatives(loss: str, pair_base: Path, tmp_path: Path) -> None:
    training = task(pair_base, tmp_path, **of_loss(loss), epochs=8, batch_size=4, checkpoint="last")
    write_mined(tmp_path / "mined", told_apart())
    finetune.finetune(training, tmp_path / "model", tmp_path / "history.tsv")
    losses = pd.read_csv(tmp_path / "history.tsv", sep="\t")["loss"]
    assert losses.iloc[-1] < 0.5 * losses.iloc[0]
    texts, queries = document_texts(corpus()), split().queries["text"].tolist()[:12]
    scorer = CrossEncoderScorer.load(tmp_path / "model", COMPUTE)
    positives, negatives = (scorer.score(queries, part) for part in (texts[:12], texts[12:]))
    assert positives.min() > negatives.max()


def test_dev_score_is_that_of_the_guides_best_documents_reordered(trained: Path, pair_base: Path) -> None:
    history = pd.read_csv(trained / "model.tsv", sep="\t")
    devs = history["dev_ndcg_at_3"].dropna().tolist()
    assert len(devs) == 4
    assert reranked(trained / "model", pair_base, 5) == max(devs)
    assert history["base_ndcg_at_3"].dropna().tolist() == [round(dev_score(pair_base), 5)] * 4
    assert max(devs) != round(dev_score(pair_base), 5)


def test_documents_after_the_best_k_keep_their_places(pair_base: Path, tmp_path: Path) -> None:
    history = train(pair_base, tmp_path, **of_loss("binary", k=1))
    assert history["dev_ndcg_at_3"].dropna().tolist() == history["base_ndcg_at_3"].dropna().tolist()


def test_checkpoint_of_an_epoch_is_written(trained: Path, pair_base: Path, tmp_path: Path) -> None:
    train(pair_base, tmp_path, **of_loss("list_wise"), epochs=4, checkpoint=3)
    devs = pd.read_csv(trained / "model.tsv", sep="\t")["dev_ndcg_at_3"].dropna().tolist()
    assert devs[2] not in (max(devs), devs[-1])
    assert reranked(tmp_path / "model", pair_base, 5) == devs[2]


def test_plain_sentence_transformers_gives_the_same_scores(trained: Path) -> None:
    queries, texts = split().queries["text"].tolist(), document_texts(corpus())
    theirs = CrossEncoder(str(trained / "model"), device="cpu").predict(list(zip(queries, texts, strict=True)))
    ours = CrossEncoderScorer.load(trained / "model", COMPUTE).score(queries, texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert np.ptp(theirs) > 1e-4  # else agreement says nothing
    assert read_encoding(trained / "model").query_prefix == "sum "


def test_card_and_provenance_are_those_of_a_cross_encoder(trained: Path, pair_base: Path) -> None:
    card = (trained / "model/model-card.md").read_text()
    assert "A cross-encoder: `pairs`, fine-tuned on `words` by retune to score pairs of a query and a document." in card
    assert 'CrossEncoder("models/model")' in card
    assert "SentenceTransformer(" not in card
    assert "metrics/eval" not in card
    assert (
        f"best 5 documents of `pairs` in the order of this model; in their own order they score {dev_score(pair_base):.5f}"
        in card
    )
    assert read_origins(trained / "model") == read_origins(pair_base)
    assert json.loads((trained / "model/config_sentence_transformers.json").read_text())["model_type"] == "CrossEncoder"


def test_same_inputs_give_the_same_bytes(trained: Path, pair_base: Path, tmp_path: Path) -> None:
    train(pair_base, tmp_path, **of_loss("list_wise"), epochs=4)
    same_bytes(trained / "model", tmp_path / "model")
    assert (trained / "model.tsv").read_bytes() == (tmp_path / "model.tsv").read_bytes()


@pytest.mark.parametrize("loss", LOSSES)
def test_killed_training_resumes_with_the_same_bytes(
    loss: str, pair_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_resumed_after_kill(4, pair_base, tmp_path, monkeypatch, **of_loss(loss))


def test_cross_encoder_is_tuned_further(trained: Path, pair_base: Path, tmp_path: Path) -> None:
    again = replace(task(trained / "model", tmp_path, **of_loss("binary"), learning_rate=1e-9), guide=pair_base)
    finetune.finetune(again, tmp_path / "again", tmp_path / "again.tsv")
    assert reranked(tmp_path / "again", pair_base, 5) == reranked(trained / "model", pair_base, 5)
    assert read_encoding(tmp_path / "again") == read_encoding(trained / "model")


def test_another_guide_starts_a_killed_training_again(
    trained: Path, pair_base: Path, tiny_model: Path, tmp_path: Path
) -> None:
    described = task(pair_base, tmp_path, **of_loss("binary"))
    assert training_key(described) != training_key(replace(described, guide=tiny_model))


def test_tuned_cross_encoder_scores_for_mining_and_teaches(trained: Path, pair_base: Path, tmp_path: Path) -> None:
    described = task(pair_base, tmp_path, loss="kl", teacher_temperature=1.0, hard_negatives=1)
    dataset, model = described.dev, trained / "model"
    write_dataset(dataset, Dataset(corpus(), {"train": split(), "dev": split(), "test": empty_split()}))
    chosen = Mine.model_validate(recipe("dataset", "tiny"))
    inputs = read_inputs(dataset, dataset, chosen)
    ranker, scorer = load_models(pair_base, model, dataset, COMPUTE)
    mined, _ = mine(inputs, ranker, scorer, chosen, seed=0)
    texts = dict(zip(corpus()["doc_id"], document_texts(corpus()), strict=True))
    first = mined.examples.iloc[0]
    query = mined.queries.set_index("query_id").loc[first["query_id"], "text"]
    named = [texts[doc_id] for doc_id in first["negative_ids"]]
    expected = CrossEncoderScorer.load(model, COMPUTE).score([query] * len(named), named)
    assert list(first["negative_scores"]) == expected.tolist()
    write_mined(tmp_path / "mined", mined)
    finetune.finetune(described, tmp_path / "student", tmp_path / "student.tsv")
    assert pd.read_csv(tmp_path / "student.tsv", sep="\t")["loss"].notna().all()
