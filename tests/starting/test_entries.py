"""Which entries a data set gets, by what is in it."""

from typing import Any

import pytest

from retune.params.synthesize import Synthesize
from retune.starting.entries import Additions, Wanted, additions
from retune.starting.survey import Survey

DEFAULTS = {"dev": 0.1, "test": 0.34, "max_unusable": 0.0}
CONVERT = {"format": "beir", "raw": "data/raw/faq"}


def added(
    queries: dict[str, int],
    defaults: dict[str, Any] = DEFAULTS,
    llm: str = "",
    unusable: float = 0.0,
    language: str = "en",
) -> Additions:
    survey = Survey(documents=9, queries=queries, unusable=unusable, languages={language: 9})
    return additions(Wanted("faq", "minilm", llm), CONVERT, survey, defaults)


def convert(result: Additions) -> dict[str, Any]:
    return {name: value for name, value in result.entries["convert"]["faq"].items() if name not in CONVERT}


@pytest.mark.parametrize(
    ("queries", "splits"),
    [
        ({"train": 9}, {}),
        ({"train": 9, "dev": 9}, {"dev": "given"}),
        ({"train": 9, "test": 9}, {"test": "given"}),
        ({"train": 9, "dev": 9, "test": 9}, {"dev": "given", "test": "given"}),
        ({"test": 9}, {"dev": 0.0, "test": "given"}),
        ({"dev": 9, "test": 9}, {"dev": "given", "test": "given"}),
        ({"dev": 9}, {"assign_all_to": "test", "dev": 0.0, "test": "given"}),
        ({}, {}),
    ],
)
def test_splits_of_the_source_are_given_and_others_are_cut(queries: dict, splits: dict) -> None:
    assert convert(added(queries)) == splits


def test_shares_stand_in_the_entry_if_the_defaults_have_none() -> None:
    assert convert(added({"train": 9}, {"dev": "given"})) == {"dev": 0.1, "test": 0.34}
    assert convert(added({"train": 9, "dev": 9}, {"dev": "given", "test": 0.2})) == {}


@pytest.mark.parametrize(("unusable", "written"), [(0.0, None), (0.012, 0.02), (0.05, 0.05), (0.3, None)])
def test_a_few_unusable_records_are_allowed(unusable: float, written: float | None) -> None:
    assert convert(added({"train": 9}, unusable=unusable)).get("max_unusable") == written


@pytest.mark.parametrize("llm", ["", "qwen"])
def test_model_of_synthetic_queries_is_merged_if_another_data_set_guards_it(llm: str) -> None:
    survey = Survey(documents=9, queries={}, languages={"en": 9})
    merged = additions(Wanted("faq", "minilm", llm, guard="science"), CONVERT, survey, DEFAULTS)
    models = ["minilm_faq_synthetic", "minilm_faq_synthetic_merged"]
    entry = merged.entries["merge"][models[1]]
    assert (entry["tuned"], entry["dev"], entry["guard"]) == (models[0], "faq_synthetic", "science")
    assert merged.models == models
    alone = added({}, llm=llm)
    assert ("merge" in alone.entries, alone.models) == (False, models[:1])


def test_language_model_writes_the_queries_of_documents_alone() -> None:
    synthetic = added({}, llm="qwen").entries["synthesize"]["faq_synthetic"]
    assert (synthetic["dataset"], synthetic["model"], synthetic["method"]) == ("faq", "minilm", "llm")
    assert synthetic["llm"]["model"] == "qwen"
    assert Synthesize.parse("synthesize.x", synthetic).queries_per_document == 3  # complete without defaults
    assert "synthesize" not in added({"train": 9}, llm="qwen").entries


def test_lengths_count_characters_where_words_have_no_spaces() -> None:
    for language, words, copied in (("en", 300, 8), ("zh", 500, 13)):
        synthetic = added({}, llm="qwen", language=language).entries["synthesize"]["faq_synthetic"]
        assert synthetic["generation"]["document_words"] == words
        assert synthetic["filters"]["copied_words"] == copied
        assert synthetic["filters"]["round_trip"] == 50


def test_documents_alone_are_measured_on_synthetic_test_queries() -> None:
    result = added({})
    assert (result.models, result.datasets) == (["minilm_faq_synthetic"], ["faq_synthetic"])
    assert result.entries["synthesize"]["faq_synthetic"]["test"] == 0.3
    for llm in ("", "qwen"):
        entry = added({}, llm=llm).entries["synthesize"]["faq_synthetic"]
        assert not entry["kinds"].keys() & entry["test_kinds"].keys()


def test_real_test_queries_measure_a_model_tuned_on_synthetic_ones() -> None:
    result = added({"test": 9})
    assert (result.models, result.datasets) == (["minilm_faq_synthetic"], ["faq"])
    assert "test" not in result.entries["synthesize"]["faq_synthetic"]
