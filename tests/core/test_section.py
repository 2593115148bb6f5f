"""Defaults complete an entry; errors name the section in which a value stands."""

import pickle

import pytest

from retune.core.errors import InputError, ParameterError
from retune.core.section import Section, merge


class Limits(Section):
    low: float | None = None
    high: float | None = None


class Entry(Section):
    RENAMED = {"size": "write number"}

    OF_ONE_ENTRY = frozenset({"name"})

    name: str
    number: int
    limits: Limits | None = None


def test_entry_wins_key_by_key_also_within_mappings() -> None:
    defaults = {"number": 1, "limits": {"low": 0.5, "high": 2.0}, "list": [1, 2]}
    assert merge(defaults, {"limits": {"high": 3.0}, "list": [3]}) == {
        "number": 1, "limits": {"low": 0.5, "high": 3.0}, "list": [3],
    }  # fmt: skip
    assert merge(defaults, {"limits": None})["limits"] is None
    assert defaults["limits"] == {"low": 0.5, "high": 2.0}


def test_a_block_of_another_backend_replaces_the_default() -> None:
    defaults = {"search": {"backend": "faiss_ivf", "lists": 8}, "range": [2, 50]}
    assert merge(defaults, {"search": {"backend": "torch"}})["search"] == {"backend": "torch"}
    assert merge(defaults, {"search": {"lists": 9}})["search"] == {"backend": "faiss_ivf", "lists": 9}
    assert merge({"number": 1}, {"backend": "torch"}) == {"number": 1, "backend": "torch"}


def test_absent_optional_value_is_off() -> None:
    assert Entry.parse("stage.x", {"name": "a"}, {"number": 1}).limits is None


@pytest.mark.parametrize(
    ("entry", "defaults", "line"),
    [
        ({"name": "a", "number": "b"}, {}, "stage.x.number: expected integer, got 'b'"),
        ({"name": "a"}, {"number": "b"}, "defaults.stage.number: expected integer, got 'b'"),
        ({"name": "a"}, {"limits": {}}, "stage.x.number: missing; add it, or add it to defaults.stage"),
        (
            {"name": "a"},
            {"number": 1, "numbre": 2},
            "defaults.stage.numbre: unknown parameter; remove it or fix the sp",
        ),
        ({}, {"number": 1}, "stage.x.name: missing; add it$"),
        (
            {"name": "a", "limits": {"low": 0.5}},
            {"number": 1, "limits": {"high": "b"}},
            "defaults.stage.limits.high: expected number, got 'b'",
        ),
        ({"name": "a"}, {"number": 1, "size": 2}, "defaults.stage.size: not a parameter any more; write number"),
        ({"name": "a", "size": 2}, {"number": 1}, "stage.x.size: not a parameter any more; write number"),
    ],
)
def test_error_names_the_section_where_the_value_stands(entry: dict, defaults: dict, line: str) -> None:
    with pytest.raises(InputError, match=rf"^params.yaml: {line}"):
        Entry.parse("stage.x", entry, defaults)


def test_findings_in_another_file_can_be_raised_in_another_process() -> None:
    error = ParameterError(["a: missing", "b: missing"], file="presets/x.yaml")
    copied = pickle.loads(pickle.dumps(error))
    assert str(copied) == str(error) == "presets/x.yaml: a: missing\npresets/x.yaml: b: missing"
    assert copied.findings == ["a: missing", "b: missing"]
