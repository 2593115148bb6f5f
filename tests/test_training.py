"""Training rows, the loss, and what a run writes."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import WORDS
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from retune import training
from retune.encoding import Encoder
from retune.errors import InputError
from retune.losses import TokenBatchedInfoNCE
from retune.model_directory import load_model, read_encoding
from retune.params.compute import Compute
from retune.params.finetune import Finetune
from retune.records import Mined, Split
from retune.tokenizing import pad

COMPUTE = Compute(device="cpu", token_budget=512, cache=None)
PARAMS = {
    "base": "tiny",
    "data": "words",
    "dev": "words",
    "dev_metric": "ndcg_at_3",
    "method": "full",
    "epochs": 2,
    "batch_size": 8,
    "hard_negatives": 1,
    "learning_rate": 5e-3,
    "warmup_ratio": 0.1,
    "weight_decay": 0.0,
    "temperature": 0.05,
    "dropout": 0.0,
}


def corpus() -> pd.DataFrame:
    texts = [f"{first} {second} {first}" for first in WORDS[2:8] for second in WORDS[8:12]]
    return pd.DataFrame({"doc_id": [f"d{n}" for n in range(len(texts))], "title": None, "text": texts})


def split() -> Split:
    documents = corpus()
    queries = pd.DataFrame(
        {"query_id": [f"q{n}" for n in range(len(documents))], "text": documents["text"].str.rsplit(n=1).str[0]}
    ).assign(prompt=None, answer=None)
    return Split(
        queries, pd.DataFrame({"query_id": queries["query_id"], "doc_id": documents["doc_id"], "relevance": 1})
    )


def mined() -> Mined:
    documents, queries = corpus(), split().queries
    others = documents["doc_id"].tolist()
    examples = pd.DataFrame(
        {
            "query_id": queries["query_id"],
            "positive_ids": [[doc_id] for doc_id in others],
            "negative_ids": [
                [others[(row + 1) % len(others)], others[(row + 2) % len(others)]] for row in range(len(others))
            ],
            "positive_scores": [[1.0]] * len(others),
            "negative_scores": [[0.5, 0.4]] * len(others),
            "source": "words",
        }
    )
    return Mined(examples, queries, documents)


def task(base: Path, **changes: object) -> training.Task:
    return training.Task(base, mined(), corpus(), split(), Finetune(**PARAMS | changes), COMPUTE, seed=3)


def test_row_holds_query_positive_and_drawn_negatives(tiny_model: Path) -> None:
    rows = training.training_rows(mined(), read_encoding(tiny_model), hard_negatives=2, seed=0)
    texts = corpus()["text"]
    assert rows.column_names == ["anchor", "positive", "negative_1", "negative_2"]
    assert rows[0]["anchor"] == split().queries["text"].iloc[0]
    assert rows[0]["positive"] == texts[0]
    assert {rows[0]["negative_1"], rows[0]["negative_2"]} == {texts[1], texts[2]}


def test_fewer_mined_negatives_than_asked_for_is_refused(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="expected 3 mined negatives a query, 24 of 24 have fewer, first: 'q0'"):
        training.training_rows(mined(), read_encoding(tiny_model), hard_negatives=3, seed=0)


def test_loss_of_identical_embeddings_is_log_of_candidates(tiny_model: Path) -> None:
    loss = TokenBatchedInfoNCE(load_model(tiny_model, "cpu"), temperature=0.05, token_budget=512)
    same = torch.ones(4, 32)
    assert loss.compute_loss_from_embeddings([same, same, same], None).item() == pytest.approx(math.log(8), abs=1e-5)


def test_loss_and_gradients_equal_the_plain_loss(tiny_model: Path) -> None:
    texts = [["sum of a matrix", "graph"], ["path path path path path", "node of the graph edge"]]
    results = []
    for kind in (MultipleNegativesRankingLoss, TokenBatchedInfoNCE):
        model = load_model(tiny_model, "cpu", attention="eager").eval()
        encoder = Encoder(model, read_encoding(tiny_model), COMPUTE)
        ids = [encoder.tokenize_documents(column) for column in texts]
        features = [pad(encoder.tokenizer, column, max(map(len, column)), torch.device("cpu")) for column in ids]
        options = {"scale": 20.0} if kind is MultipleNegativesRankingLoss else {"temperature": 0.05, "token_budget": 32}
        loss = kind(model, **options)(features, None)
        loss.backward()
        gradients = torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])
        results.append((loss.item(), gradients))
    assert results[0][0] == pytest.approx(results[1][0], abs=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-4, rtol=1e-4)


def test_run_learns_and_keeps_the_best_epoch(tiny_model: Path, tmp_path: Path) -> None:
    training.finetune(task(tiny_model, epochs=4), tmp_path / "model", tmp_path / "history.tsv")
    history = pd.read_csv(tmp_path / "history.tsv", sep="\t")
    assert history.columns.tolist() == ["global_step", "loss", "lr", "dev_ndcg_at_3"]
    assert history["global_step"].tolist() == list(range(1, 13))  # 24 rows, 8 a step, 4 epochs
    assert history["loss"].iloc[-3:].mean() < history["loss"].iloc[:3].mean()
    dev_scores = history["dev_ndcg_at_3"].dropna()
    assert len(dev_scores) == 4
    kept = training.evaluate(Encoder.load(tmp_path / "model", COMPUTE), corpus(), split(), [3])
    assert kept["ndcg_at_3"].mean() == pytest.approx(dev_scores.max(), abs=1e-5)


@pytest.mark.parametrize(("scores", "kept"), [([0.9, 0.5], 1), ([0.5, 0.9], 2), ([0.5, 0.5], 1)])
def test_epoch_kept_is_the_first_of_the_best(
    scores: list[float], kept: int, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[torch.Tensor] = []
    next_score = iter(scores)

    def score(per_query: pd.DataFrame) -> dict[str, float]:
        return {"ndcg_at_3": next(next_score)}

    def keep_epoch(model: SentenceTransformer, *args: object) -> Encoder:
        saved.append(next(iter(model.parameters())).detach().clone())
        return snapshot(model, *args)

    snapshot = Encoder.snapshot
    monkeypatch.setattr(training, "mean_scores", score)
    monkeypatch.setattr(training.Encoder, "snapshot", staticmethod(keep_epoch))
    training.finetune(task(tiny_model), tmp_path / "model", tmp_path / "history.tsv")
    weights = next(iter(load_model(tmp_path / "model", "cpu").parameters()))
    assert len(saved) == 2
    assert not torch.equal(saved[0], saved[1])
    assert torch.equal(weights, saved[kept - 1])


def test_run_writes_the_same_bytes_again(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        training.finetune(task(tiny_model), tmp_path / name, tmp_path / f"{name}.tsv")
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert Path("model.safetensors") in files
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file
    assert (tmp_path / "first.tsv").read_bytes() == (tmp_path / "second.tsv").read_bytes()


def test_tuned_directory_gives_plain_sentence_transformers_the_same_vectors(tiny_model: Path, tmp_path: Path) -> None:
    training.finetune(task(tiny_model), tmp_path / "model", tmp_path / "history.tsv")
    texts = corpus()["text"].tolist()
    ours = Encoder.load(tmp_path / "model", COMPUTE).encode_documents(texts)
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu").encode_document(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_method_none_copies_the_base(tiny_model: Path, tmp_path: Path) -> None:
    training.finetune(task(tiny_model, method="none"), tmp_path / "model", tmp_path / "history.tsv")
    names = sorted(path.relative_to(tiny_model) for path in tiny_model.rglob("*") if path.is_file())
    assert names
    for name in names:
        assert (tmp_path / "model" / name).read_bytes() == (tiny_model / name).read_bytes()
    assert (tmp_path / "history.tsv").read_text() == "global_step\tloss\tlr\tdev_ndcg_at_3\n"


def test_failed_run_leaves_what_was_there(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("old")
    with pytest.raises(InputError, match="loss is nan"):
        training.finetune(task(tiny_model, learning_rate=1e30), tmp_path / "model", tmp_path / "history.tsv")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "old").read_text() == "old"


def test_empty_dev_split_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    empty = Split(split().queries.iloc[:0], split().qrels.iloc[:0])
    steered = training.Task(tiny_model, mined(), corpus(), empty, Finetune(**PARAMS), COMPUTE, seed=0)
    with pytest.raises(InputError, match="expected dev queries, got an empty dev split"):
        training.finetune(steered, tmp_path / "model", tmp_path / "history.tsv")
