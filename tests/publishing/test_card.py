"""The card says how to use the model and what is not known."""

from dataclasses import replace
from pathlib import Path

import pytest

from retune.core.files import write_json
from retune.models.directory import read_encoding
from retune.publishing.card import Place, card_text
from retune.publishing.judged import Judged, read_judged
from retune.publishing.thresholds import Answered, Shift
from tests.publishing.conftest import BASE, DATA

SHIFT = Shift("home", 200, 0.925, 0.95, Answered(0.5, 80, 74), Answered(0.6, 111, 105), Answered(0.5, 160, 120))


@pytest.fixture
def judged(project: Path) -> Judged:
    return read_judged(Path("metrics/verdict.json"), Path("models"), "tuned", is_forced=False)


def card(judged: Judged, shift: Shift = SHIFT) -> str:
    return card_text(judged, [BASE, DATA], shift, Place(Path("published/tuned"), "org/tuned"))


def test_thresholds_of_base_and_tuned_model_stand_side_by_side(judged: Judged) -> None:
    text = card(judged)
    assert "at least 92.5 % of the answers are relevant, on the 200 dev queries of `home`. Cosines shift with" in text
    assert text[text.index("| `base` | 0.5000 | 0.9") :].splitlines()[:3] == [
        "| `base` | 0.5000 | 0.925 (0.846 to 0.965) | 80 of 200 (40.0 %) |",
        "| `tuned` | 0.6000 | 0.946 (0.887 to 0.975) | 111 of 200 (55.5 %) |",
        "| `tuned` with the threshold of `base` | 0.5000 | 0.750 (0.678 to 0.811) | 160 of 200 (80.0 %) |",
    ]
    assert "is uncertain" not in text


def test_threshold_of_few_queries_is_doubted(judged: Judged) -> None:
    text = card(judged, replace(SHIFT, tuned=Answered(0.8, 2, 2), kept=Answered(0.9, 0, 0)))
    assert "| `tuned` | 0.8000 | 1.000 (0.342 to 1.000) | 2 of 200 (1.0 %) |" in text
    assert "| `tuned` with the threshold of `base` | 0.9000 |  | 0 of 200 (0.0 %) |" in text
    assert "A threshold that rests on 2 answered queries is uncertain." in text


def test_precision_that_one_model_or_none_reaches_is_said(judged: Judged) -> None:
    tuned_alone = card(judged, replace(SHIFT, base=None, kept=None))
    assert "| `base` | none reaches it |  |  |\n| `tuned` | 0.6000 | 0.946 (0.887 to 0.975) | 111 of" in tuned_alone
    neither = card(judged, replace(SHIFT, base=None, tuned=None, kept=None))
    assert "No score reaches a precision of 92.5 % on the 200 dev queries of `home`." in neither


def test_data_set_without_dev_queries_has_no_threshold(judged: Judged) -> None:
    shift = Shift("home", 0, 0.9, 0.95, None, None, None)
    assert "`home` has no dev queries, so no threshold was computed." in card(judged, shift)


def test_prompts_suffix_and_shorter_vectors_are_explained(judged: Judged, project: Path) -> None:
    plain = card(judged)
    assert "- Prompts: none.\n" in plain
    assert "Matryoshka" not in plain
    changes = {"query_prefix": "query: ", "document_prefix": "text: ", "query_suffix": "</s>"}
    settings = read_encoding(judged.folder).model_copy(update=changes)
    write_json(project / "models/tuned/retune.json", settings.model_dump())
    text = card(replace(judged, parameters={"matryoshka_dims": [16, 8]}))
    assert "- Prompts: `'query: '` before a query, `'text: '` before a document; `encode_query` and" in text
    assert "- Suffix: `'</s>'` after a query, which you add yourself." in text
    assert "- Matryoshka: also trained for 16, 8 dimensions; keep as many first ones, and scale to" in text


def test_absent_gate_and_shortened_vectors_of_the_scores_are_said(judged: Judged) -> None:
    assert "There was no gate." in card(replace(judged, verdict=replace(judged.verdict, gate=None)))
    shortened = replace(judged, settings={**judged.settings, "eval": {"dims": 16}})
    assert "ndcg_at_10 of the first 16 dimensions on test queries" in card(shortened)
