"""The card says how to use the model and what is not known."""

from dataclasses import replace
from pathlib import Path

import pytest

from retune.core.files import write_json
from retune.models.directory import read_encoding
from retune.publishing.card import card_text
from retune.publishing.judged import Judged, read_judged
from retune.publishing.thresholds import Answered, Shift
from tests.publishing.conftest import BASE, DATA

SHIFT = Shift("home", 200, 0.925, Answered(0.5, 0.93, 0.4), Answered(0.6, 0.95, 0.555), Answered(0.5, 0.75, 0.8))


@pytest.fixture
def judged(project: Path) -> Judged:
    return read_judged(Path("metrics/verdict.json"), Path("models"), "tuned", is_forced=False)


def card(judged: Judged, shift: Shift = SHIFT) -> str:
    return card_text(judged, [BASE, DATA], shift, place="org/tuned")


def test_thresholds_of_base_and_tuned_model_stand_side_by_side(judged: Judged) -> None:
    text = card(judged)
    assert "relevant in 92.5 % of the cases, on the 200 dev queries of `home`" in text
    assert text[text.index("| `base` | 0.5000 | 0.9") :].splitlines()[:3] == [
        "| `base` | 0.5000 | 0.930 | 40.0 % |",
        "| `tuned` | 0.6000 | 0.950 | 55.5 % |",
        "| `tuned` with the threshold of `base` | 0.5000 | 0.750 | 80.0 % |",
    ]


def test_precision_that_one_model_or_none_reaches_is_said(judged: Judged) -> None:
    tuned_alone = card(judged, replace(SHIFT, base=None, kept=None))
    assert "| `base` | none reaches it |  |  |\n| `tuned` | 0.6000 | 0.950 | 55.5 % |\n\n" in tuned_alone
    neither = card(judged, replace(SHIFT, base=None, tuned=None, kept=None))
    assert "No score reaches a precision of 0.925 on the 200 dev queries" in neither


def test_data_set_without_dev_queries_has_no_threshold(judged: Judged) -> None:
    shift = Shift("home", 0, 0.9, None, None, None)
    assert "`home` has no dev queries, so no threshold was computed." in card(judged, shift)


def test_prompts_suffix_and_shorter_vectors_are_explained(judged: Judged, project: Path) -> None:
    plain = card(judged)
    assert "- Prompts: none.\n" in plain
    assert "- Matryoshka: not trained for shorter vectors." in plain
    changes = {"query_prefix": "query: ", "document_prefix": "text: ", "query_suffix": "</s>"}
    settings = read_encoding(judged.folder).model_copy(update=changes)
    write_json(project / "models/tuned/retune.json", settings.model_dump())
    text = card(replace(judged, parameters={"matryoshka_dims": [16, 8]}))
    assert "- Prompts: `'query: '` before a query, `'text: '` before a document; `encode_query` and" in text
    assert "- Suffix: `'</s>'` after a query, which you add yourself." in text
    assert "- Matryoshka: also trained for 16, 8 dimensions; `truncate_dim` of `SentenceTransformer` chooses" in text


def test_absent_gate_and_shortened_vectors_of_the_scores_are_said(judged: Judged) -> None:
    assert "There was no gate." in card(replace(judged, verdict=replace(judged.verdict, gate=None)))
    shortened = replace(judged, settings={**judged.settings, "eval": {"dims": 16}})
    assert "ndcg_at_10 of the first 16 dimensions on test queries" in card(shortened)
