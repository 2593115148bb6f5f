"""A model for queries alone: what is trained, what is written, and which side encodes what."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize

from retune.core.errors import InputError
from retune.core.records import Dataset, empty_split, write_dataset
from retune.encoding.encoder import Encoder
from retune.evaluation.evaluate import measure
from retune.mining.inputs import load_models
from retune.models.directory import load_model
from retune.models.scope import QUERY_MODEL, SCOPE, read_addition
from retune.params.eval import Measuring
from retune.training.dev_scoring import evaluate
from retune.training.towers import add_head, apply_head
from tests.support.parameters import COMPUTE, MEASURING
from tests.support.training_task import corpus, params, split, task
from tests.support.trainings import LORA, check_resumed_after_kill, train

DATASET = "dataset"  # the folder that `task` writes
TEXTS = ["array sum", "matrix mean of a graph"]


def tower(learns: str, *, everywhere: bool = False, **changes: object) -> dict[str, object]:
    lora = {"lora": LORA["lora"]} if learns == "lora" else {}
    block = {"learns": learns, "everywhere": everywhere}
    return {"method": "query_tower", "query_tower": block, "checkpoint": "last", **lora, **changes}


def vectors(model: SentenceTransformer) -> np.ndarray:
    return model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tower of each kind, by what it learns."""
    folder = tmp_path_factory.mktemp("towers")
    for learns in ("model", "lora", "linear", "network"):
        train(tiny_model, folder, learns, **tower(learns, learning_rate=5e-2 if learns == "lora" else 5e-3))
    return {path.parent.parent.name: path.parent.parent for path in folder.glob("*/scope/scope.json")}


@pytest.mark.parametrize("head", ["linear", "network"])
def test_head_changes_nothing_at_first(tiny_model: Path, head: str) -> None:
    model = load_model(tiny_model, "cpu")
    before = vectors(model)
    add_head(model, head)
    np.testing.assert_allclose(vectors(model), before, atol=1e-6)
    np.testing.assert_allclose(apply_head(model, torch.tensor(before)).detach().numpy(), before, atol=1e-6)
    names = {name.partition(".")[0] for name, values in model.named_parameters() if values.requires_grad}
    assert len(names) == {"linear": 1, "network": 2}[head]
    assert "0" not in names  # the base


def test_head_stands_behind_all_of_the_base(tiny_model: Path) -> None:
    model = load_model(tiny_model, "cpu")
    model.append(Dense(32, 32, activation_function=torch.nn.Tanh()))  # behind unit vectors, as some models have it
    model.append(Normalize())
    before = vectors(model)
    add_head(model, "network")
    np.testing.assert_allclose(apply_head(model, torch.tensor(before)).detach().numpy(), before, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("learns", ["linear", "model"])
def test_two_processes_give_the_history_of_one(tiny_model: Path, tmp_path: Path, forks: None, learns: str) -> None:
    one, two = (
        train(tiny_model, tmp_path, f"of_{count}", processes=count, **tower(learns, evaluate_steps=1))
        for count in (1, 2)
    )
    np.testing.assert_allclose(two, one, atol=1e-4)


@pytest.mark.slow
def test_documents_keep_the_vectors_of_the_base_and_queries_move(tiny_model: Path, trained: dict[str, Path]) -> None:
    assert sorted(trained) == ["linear", "lora", "model", "network"]
    base = Encoder.load(tiny_model, COMPUTE)
    for folder in trained.values():
        addition = read_addition(folder, DATASET, corpus())
        encoder = Encoder.load(folder, COMPUTE, addition=addition)
        np.testing.assert_array_equal(encoder.encode_documents(TEXTS), base.encode_documents(TEXTS))
        ours = encoder.encode_queries(TEXTS, [None, None])
        assert np.abs(ours - base.encode_queries(TEXTS, [None, None])).max() > 1e-3
        plain = SentenceTransformer(str(folder / SCOPE / QUERY_MODEL), device="cpu", local_files_only=True)
        np.testing.assert_allclose(plain.encode_query(TEXTS), ours, atol=1e-4)
        assert f"models/{folder.name}/{SCOPE}/{QUERY_MODEL}" in (folder / "model-card.md").read_text()


@pytest.mark.slow
def test_dev_score_is_that_of_both_sides(tiny_model: Path, trained: dict[str, Path]) -> None:
    documents = Encoder.load(tiny_model, COMPUTE).encode_documents(corpus()["text"].tolist())
    for name, folder in trained.items():
        history = pd.read_csv(folder.with_suffix(".tsv"), sep="\t")
        queries = Encoder.load(folder / SCOPE / QUERY_MODEL, COMPUTE)
        score = evaluate(queries, corpus(), split(), [3], documents=documents)["ndcg_at_3"].mean()
        assert history["dev_ndcg_at_3"].dropna().iloc[-1] == pytest.approx(score, abs=1e-5), name
        assert history["loss"].dropna().iloc[-1] < history["loss"].dropna().iloc[0], name


@pytest.mark.slow
def test_head_learns_from_vectors_alone(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    forward = SentenceTransformer.forward

    def counted(*inputs: object, **options: object) -> object:
        calls.append(1)
        return forward(*inputs, **options)

    monkeypatch.setattr(SentenceTransformer, "forward", counted)
    train(tiny_model, tmp_path, "short", **tower("linear", epochs=1))
    short = len(calls)
    train(tiny_model, tmp_path, "long", **tower("linear", epochs=1, batch_size=2))  # twelve steps instead of three
    assert len(calls) - short <= short


@pytest.mark.slow
def test_killed_training_of_a_head_resumes_with_the_same_bytes(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_resumed_after_kill(4, tiny_model, tmp_path, monkeypatch, **tower("network"))


def evaluated(folder: Path, dataset: Path, parent: Path) -> pd.DataFrame:
    measuring = Measuring(**MEASURING)
    return measure(folder, dataset, measuring, COMPUTE, excluded=parent / "none", seed=1).per_query


@pytest.mark.slow
def test_other_data_sets_keep_the_base_unless_it_is_for_all(
    tiny_model: Path, trained: dict[str, Path], tmp_path: Path
) -> None:
    for name in (DATASET, "other"):
        write_dataset(tmp_path / name, Dataset(corpus(), {"train": empty_split(), "dev": split(), "test": split()}))
    model = trained["model"]
    at_home, elsewhere = (evaluated(model, tmp_path / name, tmp_path) for name in (DATASET, "other"))
    base = evaluated(tiny_model, tmp_path / "other", tmp_path)
    pd.testing.assert_frame_equal(elsewhere, base)
    assert not at_home.equals(base)
    settings = model / SCOPE / "scope.json"
    before = settings.read_text()
    settings.write_text(json.dumps(json.loads(before) | {"everywhere": True}))
    everywhere = evaluated(model, tmp_path / "other", tmp_path)
    settings.write_text(before)
    pd.testing.assert_frame_equal(everywhere, at_home)


@pytest.mark.slow
def test_mining_uses_both_sides(tiny_model: Path, trained: dict[str, Path], tmp_path: Path) -> None:
    described = task(tiny_model, tmp_path)
    ranker, scorer = load_models(trained["linear"], trained["linear"], described.dev, COMPUTE)
    assert ranker is scorer
    base = Encoder.load(tiny_model, COMPUTE)
    np.testing.assert_array_equal(ranker.encode_documents(TEXTS), base.encode_documents(TEXTS))
    assert np.abs(ranker.encode_queries(TEXTS, [None] * 2) - base.encode_queries(TEXTS, [None] * 2)).max() > 1e-3


@pytest.mark.slow
def test_what_it_was_not_made_for_is_refused(tiny_model: Path, trained: dict[str, Path], tmp_path: Path) -> None:
    model = trained["linear"]
    with pytest.raises(InputError, match=f"linear: expected a model that treats all data sets alike, .*'{DATASET}'"):
        Encoder.load(model, COMPUTE)
    others = corpus().assign(text=lambda table: table["text"] + " tree")
    with pytest.raises(InputError, match=f"expected the documents of '{DATASET}' that the model was made for"):
        read_addition(model, DATASET, others)
    addition = read_addition(model, DATASET, corpus())
    (model / "config.json").write_text((model / "config.json").read_text() + "\n")  # another base
    with pytest.raises(InputError, match="expected the base that the model was made from, got another"):
        Encoder.load(model, COMPUTE, addition=addition)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "query_tower"}, "query_tower: expected a block with method query_tower"),
        (tower("lora") | {"lora": None}, "lora: expected a block with method query_tower"),
        (tower("linear", frozen_layers=1), "frozen_layers: expected 0 with query_tower.learns linear"),
        (tower("model", anchor={"dataset": "a", "weight": 1.0}), "expected no anchor, deepspeed, fsdp"),
        (tower("lora", averaging={"from_epoch": 1}), "averaging.from_epoch: expected none"),
    ],
)
def test_parameters_that_do_not_suit(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        params(**changes)
