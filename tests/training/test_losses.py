"""The loss and its gradients, compared with those of plain sentence-transformers."""

import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from retune.core.errors import InputError
from retune.models.directory import load_model
from retune.training.batches.plan import Plan
from retune.training.losses import RankingLoss, kl_divergence, margin_mse
from tests.support.loss_batch import DOCUMENTS, EVERYTHING, GROUPS, QUERIES, SCORES, features, gradients
from tests.support.training_task import mined, params


def results(
    tiny_model: Path, *, is_compared: torch.Tensor = EVERYTHING, **changes: object
) -> tuple[float, torch.Tensor]:
    """Return loss and gradients of ours."""
    model = load_model(tiny_model, "cpu", attention="eager").eval()
    loss = RankingLoss(model, params(**changes), token_budget=32)
    value = loss(features(model, tiny_model), {"groups": GROUPS, "is_compared": is_compared, "scores": SCORES})
    value.backward()
    return value.item(), gradients(model)


def test_loss_of_identical_vectors_is_log_of_the_documents(tiny_model: Path) -> None:
    loss = RankingLoss(load_model(tiny_model, "cpu"), params(), token_budget=512)
    labels = {"groups": GROUPS, "is_compared": EVERYTHING}
    assert loss.of_vectors(torch.ones(3, 32), torch.ones(4, 32), labels).item() == pytest.approx(math.log(4), abs=1e-5)


def test_loss_and_gradients_equal_the_plain_loss(tiny_model: Path) -> None:
    answers_only = EVERYTHING.clone()
    answers_only[:, 3] = False
    model = load_model(tiny_model, "cpu", attention="eager").eval()
    queries, documents = features(model, tiny_model)
    answers = {name: values[:3] for name, values in documents.items()}
    expected = MultipleNegativesRankingLoss(model, scale=20.0)([queries, answers], None)
    expected.backward()
    value, ours = results(tiny_model, is_compared=answers_only)
    assert value == pytest.approx(expected.item(), abs=1e-5)
    torch.testing.assert_close(ours, gradients(model), atol=1e-4, rtol=1e-4)


def test_gradient_caching_gives_the_same_gradients_a_token_batch_at_a_time(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, expected = results(tiny_model)
    calls = []
    forward = SentenceTransformer.forward
    monkeypatch.setattr(SentenceTransformer, "forward", lambda self, *inputs: calls.append(1) or forward(self, *inputs))
    results(tiny_model)
    once = len(calls)
    cached, actual = results(tiny_model, gradient_caching=True)
    assert once > 1
    assert len(calls) == 3 * once  # each token batch forward again for its gradient
    assert cached == pytest.approx(value, abs=1e-6)
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)


def test_matryoshka_is_the_mean_over_vectors_cut_to_each_length(tiny_model: Path) -> None:
    whole, cut = results(tiny_model)[0], results(tiny_model, matryoshka_dims=[8])[0]
    both = results(tiny_model, matryoshka_dims=[32, 8])[0]
    assert both == pytest.approx((whole + cut) / 2, abs=1e-6)
    assert whole != pytest.approx(cut, abs=1e-3)


def test_document_not_compared_has_no_part_in_the_loss(tiny_model: Path) -> None:
    masked = EVERYTHING.clone()
    masked[0, 1:] = False
    masked[1, [0, 2, 3]] = False
    masked[2, [0, 1, 3]] = False
    assert results(tiny_model, is_compared=masked)[0] == pytest.approx(0.0, abs=1e-6)


def test_kl_is_that_of_the_softmax_of_both(tiny_model: Path) -> None:
    logits, teacher = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [3.0, 1.0]])
    p, q = torch.softmax(teacher, dim=1), torch.softmax(logits, dim=1)
    assert kl_divergence(logits, teacher).item() == pytest.approx(
        float((p * (p / q).log()).sum(dim=1).mean()), abs=1e-6
    )
    assert kl_divergence(teacher, teacher).item() == pytest.approx(0.0, abs=1e-6)


def test_margin_mse_compares_margins_not_scores() -> None:
    logits, teacher = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([[7.0, 4.0, 6.0]])
    assert margin_mse(logits, teacher).item() == pytest.approx(0.5)  # margins 2 and 1 beside 3 and 1
    assert margin_mse(logits + 5, logits).item() == pytest.approx(0.0)


def test_teacher_s_losses_read_the_group_s_scores(tiny_model: Path) -> None:
    model = load_model(tiny_model, "cpu", attention="eager").eval()
    vectors = [
        torch.nn.functional.normalize(torch.tensor(model.encode(texts)), dim=1) for texts in (QUERIES, DOCUMENTS)
    ]
    own = torch.gather(vectors[0] @ vectors[1].T, 1, GROUPS)
    value, _ = results(tiny_model, loss="margin_mse", temperature=1.0)
    assert value == pytest.approx(margin_mse(own, SCORES).item(), abs=1e-5)
    value, _ = results(tiny_model, loss="kl", temperature=0.5, teacher_temperature=0.1)
    assert value == pytest.approx(kl_divergence(own / 0.5, SCORES / 0.1).item(), abs=1e-5)


def test_infonce_kl_is_the_weighted_mean_of_both(tiny_model: Path) -> None:
    options = {"temperature": 0.5}
    contrastive, gradient = results(tiny_model, **options)
    divergence, other = results(tiny_model, loss="kl", teacher_temperature=0.1, **options)
    both, ours = results(tiny_model, loss="infonce_kl", teacher_temperature=0.1, kl_weight=0.3, **options)
    assert both == pytest.approx(0.7 * contrastive + 0.3 * divergence, abs=1e-6)
    torch.testing.assert_close(ours, 0.7 * gradient + 0.3 * other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "infonce_kl", "teacher_temperature": 0.1}, "kl_weight: expected a number with loss infonce_kl"),
        (
            {"kl_weight": 0.5},
            "kl_weight: expected a number with loss infonce_kl, and none with any other, got 0.5 with",
        ),
        ({"loss": "infonce_kl", "kl_weight": 0.0}, "kl_weight"),
        ({"loss": "infonce_kl", "kl_weight": 0.5}, "teacher_temperature: expected a number with loss kl or infonce_kl"),
        (
            {"loss": "infonce_kl", "hard_negatives": 0},
            "hard_negatives: expected at least 1 with loss infonce_kl, got 0",
        ),
    ],
)
def test_weights_of_two_losses_that_make_no_sense_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        params(**changes)


@pytest.mark.parametrize("loss", ["kl", "infonce_kl", "margin_mse"])
def test_pair_without_a_teacher_s_score_is_named(loss: str) -> None:
    examples = mined()
    examples.examples["negative_scores"] = [[0.5, float("nan")]] + [[0.5, 0.4]] * 23
    values = {
        "teacher_temperature": None if loss == "margin_mse" else 0.1,
        "kl_weight": 0.5 if loss == "infonce_kl" else None,
    }
    with pytest.raises(
        InputError, match=r"loss: expected a teacher's score for every pair, got none for 1, first: '.*' of query 'q0'"
    ):
        Plan(examples, params(loss=loss, **values), seed=1)
