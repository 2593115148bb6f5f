"""The library's losses, on the texts and labels of retune's batches."""

from math import log
from pathlib import Path

import pytest
import torch

from retune.models.encoding_settings import Encoding
from retune.training.batches.plan import Plan
from retune.training.cross_encoding.losses import PairCollator, make_loss
from tests.support.examples import numbered
from tests.support.training_task import params
from tests.training.cross_encoding.test_model import load

ENCODING = Encoding(
    query_prefix="ask ",
    document_prefix="read ",
    query_max_length=8,
    document_max_length=8,
    pooling="as_saved",
    dtype="float32",
)


def of_loss(loss: str, **changes: object) -> dict[str, object]:
    return {"method": "cross_encoder", "cross_encoder": {"loss": loss, "k": 5}, "hard_negatives": 2, **changes}


def test_positives_are_one_and_mined_negatives_zero() -> None:
    chosen = params(**of_loss("binary", batch_size=2))
    plan = Plan(numbered([(1, 1), (2, 2)], negatives=[7, 8]), chosen, seed=0)
    batch = PairCollator(plan, chosen, ENCODING)([{"batch": 0}])
    labelled = list(zip(batch["query"], batch["document"], batch["label"].tolist(), strict=True))
    assert sorted(labelled) == [
        ("ask query 1", "read text 1", 1.0),
        ("ask query 1", "read text 7", 0.0),
        ("ask query 1", "read text 8", 0.0),
        ("ask query 2", "read text 2", 1.0),
        ("ask query 2", "read text 7", 0.0),
        ("ask query 2", "read text 8", 0.0),
    ]


def test_list_wise_loss_gets_the_documents_of_each_query_as_a_list() -> None:
    listed, paired = (params(**of_loss(loss, batch_size=2)) for loss in ("list_wise", "binary"))
    plan = Plan(numbered([(1, 1), (2, 2)], negatives=[7, 8]), listed, seed=0)
    lists, pairs = (PairCollator(plan, chosen, ENCODING)([{"batch": 1}]) for chosen in (listed, paired))
    assert [label.tolist() for label in lists["label"]] == [[1.0, 0.0, 0.0]] * 2
    assert [len(documents) for documents in lists["document"]] == [3, 3]
    assert [document for documents in lists["document"] for document in documents] == pairs["document"]
    assert lists["query"] == pairs["query"][::3]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (
            "binary",
            4 / 3 * log(2),
        ),  # (2 + 1 + 1) log 2 over three pairs, as the positive weighs as much as both negatives
        # at the score 0 of all, log2(sigmoid) is -1, and the loss the mean weight of the pairs (1, 2) and (1, 3):
        # 10 |1/d1 - 1/d2| + |1/d1 - 1/d2| and 10 |1/d2 - 1/d3| + |1/d1 - 1/d3|, where d = 1, log2(3), 2
        ("list_wise", (11 * (1 - 1 / 1.5849625) + 10 * (1 / 1.5849625 - 1 / 2) + 1 - 1 / 2) / 2),
    ],
)
def test_loss_of_equal_scores(pair_base: Path, loss: str, expected: float) -> None:
    model = load(pair_base)
    torch.nn.init.zeros_(model[0].model.classifier.weight)  # all scores are 0; its bias is 0, too
    chosen = params(**of_loss(loss, batch_size=2))
    batch = PairCollator(Plan(numbered([(1, 1), (2, 2)], negatives=[7, 8]), chosen, seed=0), chosen, ENCODING)(
        [{"batch": 0}]
    )
    value = make_loss(model.train(), chosen)([batch["query"], batch["document"]], batch["label"])
    assert value.item() == pytest.approx(expected, rel=1e-5)
