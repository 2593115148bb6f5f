"""Embedding distillation: the student's vectors follow a teacher's, whose dimensions may be others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from retune.core.errors import InputError
from retune.encoding.encoder import Encoder
from retune.fetching.vectors import fetch_vectors
from retune.models.directory import load_model
from retune.models.scope import read_addition
from retune.params.fetch import Vectors
from retune.training import finetune
from retune.training.batches.plan import Plan
from retune.training.dev_scoring import evaluate
from retune.training.keeping.checkpoints import training_key
from retune.training.spec import Task
from retune.training.teacher import fit_projection, read_teacher
from tests.support.parameters import COMPUTE
from tests.support.training_task import corpus, mined, params, split, task
from tests.support.trainings import LORA, check_resumed_after_kill, train

DISTILL = {"loss": "embed_distill", "guide": "teacher", "checkpoint": "last", "epochs": 4}


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = rng.normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def table(folder: Path, *, dim: int = 48) -> Path:
    """Fetch vectors of all texts of the task, in a few directions, and return the model directory."""
    rng = np.random.default_rng(5)
    sides = [("query", split().queries["text"].tolist()), ("document", corpus()["text"].tolist())]
    rows = [(role, text) for role, texts in sides for text in dict.fromkeys(texts)]
    basis = unit(rng, 6, dim)
    vectors = unit(rng, len(rows), 6) @ basis
    frame = pd.DataFrame(rows, columns=["role", "text"]).assign(vector=list(vectors))
    frame.to_parquet(folder / "vectors.parquet")
    source = Vectors(source="vectors", path=str(folder / "vectors.parquet"), licence="MIT")
    fetch_vectors(source, folder / "teacher", where="params.yaml: fetch.teacher")
    return folder / "teacher"


def distilled(base: Path, folder: Path, guide: Path, name: str = "student", **changes: object) -> Path:
    described = replace(task(base, folder, **DISTILL | changes), guide=guide)
    finetune.finetune(described, folder / name, folder / f"{name}.tsv")
    return folder / name


def cosines(model: Path) -> np.ndarray:
    vectors = Encoder.load(model, COMPUTE).encode_documents(corpus()["text"].tolist())
    return vectors @ vectors.T


@pytest.mark.parametrize(("teacher_dim", "dim"), [(6, 6), (9, 4), (4, 9)])
def test_projection_turns_and_cuts_and_changes_no_angle_of_what_it_keeps(teacher_dim: int, dim: int) -> None:
    rng = np.random.default_rng(1)
    kept = min(teacher_dim, dim)
    teacher = unit(rng, 50, kept) @ np.linalg.qr(rng.normal(size=(teacher_dim, kept)))[0].T.astype(np.float32)
    turn = np.linalg.qr(rng.normal(size=(dim, kept)))[0].T
    basis = np.linalg.svd(teacher, full_matrices=False)[2][:kept].T
    student = (teacher @ basis @ turn).astype(np.float32)
    projection = fit_projection(teacher, student)
    assert projection.shape == (teacher_dim, dim)
    np.testing.assert_allclose(teacher @ projection, student, atol=1e-5)  # the exact turn is found
    np.testing.assert_allclose((teacher @ projection) @ (teacher @ projection).T, teacher @ teacher.T, atol=1e-5)


def test_projection_keeps_the_directions_that_matter_most() -> None:
    rng = np.random.default_rng(2)
    teacher = unit(rng, 200, 8) * np.array([5, 4, 3, 2, 1, 0.1, 0.1, 0.1])
    teacher = (teacher / np.linalg.norm(teacher, axis=1, keepdims=True)).astype(np.float32)
    kept = np.square(teacher @ fit_projection(teacher, unit(rng, 200, 5))).sum()
    assert kept == pytest.approx(np.square(np.linalg.svd(teacher)[1][:5]).sum(), rel=1e-5)


@pytest.mark.slow
def test_student_comes_to_score_as_its_teacher_without_any_label(tiny_model: Path, tmp_path: Path) -> None:
    train(tiny_model, tmp_path, "teacher", epochs=4, checkpoint="last")
    before, goal = cosines(tiny_model), cosines(tmp_path / "teacher")
    student = distilled(tiny_model, tmp_path, tmp_path / "teacher")
    assert np.abs(cosines(student) - goal).mean() < 0.4 * np.abs(before - goal).mean()
    assert len(load_model(student, "cpu")) == 3  # the projection is dropped


@pytest.mark.slow
def test_student_learns_from_a_table_of_vectors_of_more_dimensions(tiny_model: Path, tmp_path: Path) -> None:
    guide = table(tmp_path)
    frame = pd.read_parquet(guide / "vectors.parquet").set_index(["role", "text"])["vector"]
    vectors = np.stack([frame["document", text] for text in corpus()["text"]])
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    goal = vectors @ vectors.T
    dropped = distilled(tiny_model, tmp_path, guide, "dropped", epochs=8)
    kept = distilled(tiny_model, tmp_path, guide, "kept", epochs=8, keep_projection=True)
    assert '"teacher"' in (dropped / "provenance.json").read_text()
    assert np.abs(cosines(dropped) - goal).mean() < 0.6 * np.abs(cosines(tiny_model) - goal).mean()
    np.testing.assert_allclose(cosines(kept), cosines(dropped), atol=1e-5)
    in_space = Encoder.load(kept, COMPUTE).encode_documents(corpus()["text"].tolist())
    assert in_space.shape == vectors.shape
    scores = in_space @ vectors.T  # they can be compared with the teacher's own
    assert np.diag(scores).mean() > scores.mean() + 0.3


@pytest.mark.slow
def test_teacher_encodes_documents_and_the_student_queries(tiny_model: Path, tmp_path: Path) -> None:
    wide_model = distilled(tiny_model, tmp_path, table(tmp_path), "wide", epochs=1, keep_projection=True)
    chosen = {"keep_projection": True, "teacher_documents": True}
    both = distilled(tiny_model, tmp_path, wide_model, "both", **chosen)
    alone = distilled(tiny_model, tmp_path, wide_model, "alone", keep_projection=True)
    documents, queries = corpus()["text"].tolist(), split().queries["text"].tolist()
    encoder = Encoder.load(both, COMPUTE, addition=read_addition(both, "any other", corpus()))
    np.testing.assert_array_equal(
        encoder.encode_documents(documents), Encoder.load(wide_model, COMPUTE).encode_documents(documents)
    )
    nothing = [None] * len(queries)
    expected = Encoder.load(alone, COMPUTE).encode_queries(queries, nothing)
    np.testing.assert_array_equal(encoder.encode_queries(queries, nothing), expected)
    scores = evaluate(encoder, corpus(), split(), [3])["ndcg_at_3"].mean()
    history = pd.read_csv(tmp_path / "both.tsv", sep="\t")["dev_ndcg_at_3"].dropna()
    assert history.iloc[-1] == pytest.approx(scores, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", [{}, LORA])
def test_killed_distillation_resumes_with_the_same_bytes(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: dict[str, object]
) -> None:
    guide = table(tmp_path)
    monkeypatch.setattr("tests.support.trainings.task", lambda *args, **kw: replace(task(*args, **kw), guide=guide))
    check_resumed_after_kill(4, tiny_model, tmp_path, monkeypatch, **DISTILL | {"epochs": 2} | method)


def teacher_of(base: Path, folder: Path, guide: Path) -> None:
    described: Task = replace(task(base, folder, **DISTILL), guide=guide)
    read_teacher(described, Plan(mined(), described.params, seed=1))


def test_text_without_a_vector_is_named(tiny_model: Path, tmp_path: Path) -> None:
    guide = table(tmp_path)
    whole = pd.read_parquet(guide / "vectors.parquet")
    whole.drop(index=[0, 3]).to_parquet(guide / "vectors.parquet")
    expected = f"expected a vector for each of 24 query texts, got none for 2, first: '{whole['text'][0]}'; add"
    with pytest.raises(InputError, match=expected):
        teacher_of(tiny_model, tmp_path, guide)


def test_table_has_no_vectors_of_prompts(tiny_model: Path, tmp_path: Path) -> None:
    examples = mined()
    examples.queries["prompt"] = pd.Series(["Find: ", *[None] * 23], dtype=object)
    described = replace(task(tiny_model, tmp_path, **DISTILL), guide=table(tmp_path))
    with pytest.raises(InputError, match="expected queries without prompts, .* got 1 with one; remove convert"):
        read_teacher(described, Plan(examples, described.params, seed=1))


def test_another_teacher_is_another_training(tiny_model: Path, tmp_path: Path) -> None:
    guide = table(tmp_path)
    described = replace(task(tiny_model, tmp_path, **DISTILL), guide=guide)
    key = training_key(described)
    frame = pd.read_parquet(guide / "vectors.parquet")
    frame.assign(vector=frame["vector"].map(lambda vector: vector[::-1])).to_parquet(guide / "vectors.parquet")
    assert training_key(described) != key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"guide": "tiny"},
            "guide: expected a teacher other than the base with loss embed_distill, got 'tiny' as both",
        ),
        ({"matryoshka_dims": [8]}, "expected method full or lora, and neither anchor nor matryoshka_dims, with embed"),
        ({"guide_margin": 0.1}, "guide_margin: expected none unless loss is infonce or infonce_kl"),
        (
            {"teacher_documents": True},
            "teacher_documents: expected keep_projection beside it, as dimensions must agree",
        ),
        ({"loss": "infonce", "keep_projection": True}, "keep_projection: expected false unless loss is embed_distill"),
        ({"teacher_temperature": 0.1}, "teacher_temperature: expected a number with loss kl or infonce_kl, and none"),
    ],
)
def test_parameters_that_do_not_suit_a_teacher_s_vectors_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        params(**DISTILL | changes)
