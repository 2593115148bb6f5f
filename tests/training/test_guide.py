"""The guide masks the documents computed by hand, and no others."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retune.training import finetune
from retune.training.batches.plan import Plan
from retune.training.guide import Guide
from retune.training.keeping.checkpoints import training_key
from tests.support.examples import batches, numbered
from tests.support.training_task import mined, params, task


class Angles:
    """An encoder to which a text's last number is an angle in degrees."""

    def encode_documents(self, texts: list[str]) -> np.ndarray:
        angles = np.deg2rad([float(text.split()[-1]) for text in texts])
        return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)

    def encode_queries(self, texts: list[str], prompts: list[str | None]) -> np.ndarray:
        assert set(prompts) == {None}
        return self.encode_documents(texts)


def test_documents_closer_than_the_positive_less_the_margin_are_masked() -> None:
    queries = [("query 0", None), ("query 90", None)]
    documents = ["text 30", "text 20", "text 40", "text 75"]
    groups = np.array([[0, 2], [3, 1]])  # query 0: positive at 30 degrees, negative at 40; query 90: at 75, and 20
    options = (np.array([0, 1]), np.arange(4), groups)
    # query 0: the positive scores cos 30 = 0.866, the others cos 20 = 0.940, cos 40 = 0.766, cos 75 = 0.259
    # query 90: the positive scores cos 15 = 0.966, the others cos 60 = 0.5, cos 70 = 0.342, cos 50 = 0.643
    encoder = Angles()
    allowed = Guide(encoder, queries, documents, 0.0).allows(*options)
    assert allowed.tolist() == [[True, False, True, True], [True, True, True, True]]
    allowed = Guide(encoder, queries, documents, 0.4).allows(*options)  # ceilings 0.466 and 0.566
    assert allowed.tolist() == [[True, False, True, True], [True, True, False, True]]
    allowed = Guide(encoder, queries, documents, 0.7).allows(*options)  # ceilings 0.166 and 0.266
    assert allowed.tolist() == [[True, False, True, False], [False, True, False, True]]


def test_plan_masks_the_documents_that_the_guide_masks_and_no_others(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "retune")
    examples = numbered([(0, 30), (10, 20), (90, 80)])  # angles of queries and of their positives
    options = params(batch_size=3, hard_negatives=0)
    plan, guided = Plan(examples, options, seed=0), Plan(examples, options, seed=0)
    guided = guided.guided_by(Guide(Angles(), guided.queries, guided.documents, 0.0))
    before, after = plan.batch(0), guided.batch(0)
    for name in ("queries", "documents", "groups", "scores"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert before.is_compared.all()
    compared = {
        guided.query_ids[query]: {guided.documents[at] for at in after.documents[row]}
        for query, row in zip(after.queries, after.is_compared, strict=True)
    }
    # only query 0 (30 degrees from its positive) is closer to another's: to text 20. Query 10: 10 from its own, 20 from 30
    assert compared == {
        "q0": {"text 30", "text 80"},
        "q10": {"text 20", "text 30", "text 80"},
        "q90": {"text 80", "text 20", "text 30"},
    }
    assert "the guide masks 16.67% of 6 comparisons with other documents" in caplog.text


def test_guide_masks_random_negatives_and_never_mined_ones() -> None:
    examples = numbered([(0, 30), (90, 80)], negatives=[5, 10, 85])
    options = params(batch_size=2, hard_negatives=3, random_negatives=5, in_batch_negatives=False)
    plan = Plan(examples, options, seed=0)
    plan = plan.guided_by(Guide(Angles(), plan.queries, plan.documents, 0.0))
    batch = batches(plan)[0]
    assert np.take_along_axis(batch.is_compared, batch.groups, axis=1).all()
    few = Plan(examples, params(batch_size=2, hard_negatives=0, random_negatives=5, in_batch_negatives=False), seed=0)
    few = few.guided_by(Guide(Angles(), few.queries, few.documents, 0.0))
    batch = few.batch(0)
    row = batch.queries.tolist().index(0)
    compared = {few.documents[at] for at in batch.documents[batch.is_compared[row]]}
    assert compared == {"text 30", "text 80", "text 85"}  # not 5 and 10


@pytest.mark.slow
def test_guide_is_read_and_changes_the_training_only_with_a_margin(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "retune")
    histories = []
    for name, margin, guide in (("off", None, tmp_path / "nowhere"), ("none", None, tiny_model), ("on", 0.1, tiny_model)):  # fmt: skip
        training = replace(task(tiny_model, tmp_path, guide_margin=margin), guide=guide)
        finetune.finetune(training, tmp_path / name, tmp_path / f"{name}.tsv")
        histories.append((tmp_path / f"{name}.tsv").read_bytes())
        assert ("the guide masks" in caplog.text) == (name == "on")
    assert histories[0] == histories[1] != histories[2]
    assert (tmp_path / "off/model.safetensors").read_bytes() == (tmp_path / "none/model.safetensors").read_bytes()


def test_key_depends_on_the_guide_if_it_is_used(tiny_model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    (other / "more").write_text("x")
    for margin, is_same in ((None, True), (0.1, False)):
        training = task(tiny_model, tmp_path, guide_margin=margin)
        assert (training_key(training) == training_key(replace(training, guide=other))) == is_same


@pytest.mark.parametrize(
    "changes", [{"loss": "margin_mse"}, {"in_batch_negatives": False}, {"loss": "kl", "teacher_temperature": 1.0}]
)
def test_margin_without_documents_to_mask_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(
        ValueError, match="guide_margin: expected none unless loss is infonce or infonce_kl and there are"
    ):
        params(guide_margin=0.1, **changes)


def test_batches_without_a_guide_compare_all() -> None:
    plan = Plan(mined(), params(batch_size=8, hard_negatives=0), seed=0)
    assert all(batch.is_compared.all() for batch in batches(plan))
