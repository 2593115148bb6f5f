"""Additions to params.yaml leave every line as it was, in block and flow style, with comments."""

import pytest
from ruamel.yaml import YAML

from retune.core.errors import InputError
from retune.starting.entries import Additions
from retune.starting.params_edit import difference, edited, refuse_existing
from tests.support.repository import REPOSITORY

COMMENTED = """\
# Head of the file.
seed: 13
convert:   # data sets
  science:
    format: python_docs  # of packages
    packages:
    - numpy
    text: |
      a
      b

  # the last comment of convert

# Recipes
mine: {}
finetune:
    minilm_science: {base: minilm, data: science}
eval:
  models:
    - minilm  # the base

  datasets: [science, sympy]  # two
# The end.
"""
ADDED = Additions(
    {
        "convert": {"faq": {"format": "table", "negatives": ["a", "b: c"], "query": "问题", "licence": "unknown"}},
        "mine": {"faq": {"dataset": "faq"}},
        "finetune": {"minilm_faq": {"base": "minilm", "data": "faq"}},
    },
    ["minilm_faq"],
    ["faq"],
)


def load(text: str) -> dict:
    return YAML(typ="safe").load(text)


def test_entries_are_added_and_every_line_stays() -> None:
    new = edited(COMMENTED, ADDED)
    assert (
        new
        == """\
# Head of the file.
seed: 13
convert:   # data sets
  science:
    format: python_docs  # of packages
    packages:
    - numpy
    text: |
      a
      b
  faq:
    format: table
    negatives: [a, 'b: c']
    query: 问题
    licence: unknown

  # the last comment of convert

# Recipes
mine:
  faq:
    dataset: faq
finetune:
    minilm_science: {base: minilm, data: science}
    minilm_faq:
      base: minilm
      data: faq
eval:
  models:
    - minilm  # the base
    - minilm_faq

  datasets: [science, sympy, faq]  # two
# The end.
"""
    )
    assert load(new)["convert"]["faq"]["negatives"] == ["a", "b: c"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("convert:\n", "convert:\n  faq:\n    format: beir\n"),
        ("convert: {a: {format: beir}}\n", "convert: {a: {format: beir}, faq: {format: beir}}\n"),
        (
            "convert:\r\n  a:\r\n    format: beir\r\n",
            "convert:\r\n  a:\r\n    format: beir\r\n  faq:\r\n    format: beir\r\n",
        ),
        ("convert:\n  a:\n    format: beir", "convert:\n  a:\n    format: beir\n  faq:\n    format: beir"),
    ],
    ids=["nothing", "flow", "carriage returns", "no line end"],
)
def test_layout_of_a_section_is_kept(old: str, new: str) -> None:
    head = "eval: {models: [a], datasets: [b]}\n".replace("\n", "\r\n" if "\r" in old else "\n")
    added = Additions({"convert": {"faq": {"format": "beir"}}}, [], ["c"])
    assert edited(head + old, added) == head.replace("[b]", "[b, c]") + new


def test_lines_of_this_repository_are_only_added() -> None:
    old = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    new = edited(old, ADDED)
    assert [line for line in difference(old, new).splitlines() if line.startswith("-")] == ["--- params.yaml"]
    left = iter(new.splitlines())
    assert all(line in left for line in old.splitlines())  # in this order


def test_list_of_several_lines_gets_a_name_at_its_end() -> None:
    old = "convert: {}\neval:\n  datasets: [\n    a,\n    b,\n  ]\n  models: []\n"
    new = edited(old, Additions({}, ["m"], ["c"]))
    assert load(new)["eval"] == {"datasets": ["a", "b", "c"], "models": ["m"]}


def test_alias_in_place_of_a_section_is_refused() -> None:
    old = "base: &base\n  a: {format: beir}\nconvert: *base\neval: {models: [], datasets: []}\n"
    with pytest.raises(InputError, match="expected sections in plain YAML, without aliases; add the entries by hand"):
        edited(old, Additions({"convert": {"faq": {"format": "beir"}}}))


def test_name_that_is_taken_is_one_line_each() -> None:
    with pytest.raises(InputError) as caught:
        refuse_existing({"convert": {"faq": {}}, "mine": {"faq": {}}, "finetune": None}, ADDED)
    assert [line.partition(": expected no such entry")[0] for line in str(caught.value).splitlines()] == [
        "params.yaml: convert.faq",
        "params.yaml: mine.faq",
    ]
