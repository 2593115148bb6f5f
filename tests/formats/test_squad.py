"""Format squad on hand-made files in its shape, and on XQuAD where it is there."""

import json
from pathlib import Path
from typing import Any

import pytest

from retune.core.errors import InputError
from tests.support.conversion import convert_raw
from tests.support.repository import SHARED_DATA

REAL = SHARED_DATA / "xquad"


def question(name: str, *answers: str, **more: Any) -> dict[str, Any]:
    found = [{"text": text, "answer_start": 0} for text in answers]
    return {"id": name, "question": f"question {name}", "answers": found} | more


def article(title: str, **paragraphs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"title": title, "paragraphs": [{"context": text, "qas": qas} for text, qas in paragraphs.items()]}


def write(path: Path, *articles: dict[str, Any]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"version": "1.1", "data": articles}))
    return path


def test_paragraphs_are_documents_and_the_first_answer_is_kept(tmp_path: Path) -> None:
    raw = write(tmp_path / "squad.json", article("Bread", one=[question("1", "yeast", "the yeast")], two=[]))
    data = convert_raw(raw, tmp_path / "out", "squad")
    assert data.judged() == {("question 1", "one", 1)}
    assert sorted(data.texts().values()) == ["one", "two"]
    assert data.splits["train"].queries["answer"].tolist() == ["yeast"]


def test_question_without_an_answer_key_has_no_answer(tmp_path: Path) -> None:
    raw = write(tmp_path / "squad.json", article("Bread", one=[{"id": "1", "question": "why"}]))
    assert convert_raw(raw, tmp_path / "out", "squad").splits["train"].queries["answer"].isna().all()


@pytest.mark.parametrize("unanswerable", [question("2", is_impossible=True), question("2")])
def test_impossible_questions_are_left_out_and_counted(unanswerable: dict[str, Any], tmp_path: Path) -> None:
    raw = write(
        tmp_path / "squad.json", article("Bread", one=[question("1", "yeast", is_impossible=False), unanswerable])
    )
    data = convert_raw(raw, tmp_path / "out", "squad")
    assert data.queries() == {"1": "question 1"}
    assert data.statistics["dropped"] == {"impossible question": 1}


def test_articles_of_one_title_with_other_paragraphs_do_not_clash(tmp_path: Path) -> None:
    articles = [article("Bread", one=[question("1", "a")]), article("Bread", two=[question("2", "b")])]
    data = convert_raw(write(tmp_path / "squad.json", *articles), tmp_path / "out", "squad")
    assert data.judged() == {("question 1", "one", 1), ("question 2", "two", 1)}


@pytest.mark.parametrize("titled", [True, False])
def test_cut_by_group_keeps_an_article_on_one_side(titled: bool, tmp_path: Path) -> None:
    articles = [article(f"T{a}", **{f"text {a} {p}": [question(f"{a}-{p}", "x")] for p in range(5)}) for a in range(6)]
    for entry in articles if not titled else ():
        del entry["title"]
    raw = write(tmp_path / "squad.json", *articles)
    data = convert_raw(raw, tmp_path / "out", "squad", split_by="group", test=0.5)
    sides = [{query_id.split("-")[0] for query_id in data.queries(split)} for split in ("train", "test")]
    assert [len(side) for side in sides] == [3, 3]
    assert not sides[0] & sides[1]


def test_files_of_a_folder_are_splits(tmp_path: Path) -> None:
    write(tmp_path / "raw/train-v1.1.json", article("Bread", one=[question("1", "a")]))
    write(tmp_path / "raw/dev-v1.1.json", article("Wine", two=[question("2", "b")]))
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "squad", dev="given")
    assert (data.queries(), data.queries("dev")) == ({"1": "question 1"}, {"2": "question 2"})


def test_two_versions_of_a_split_are_refused(tmp_path: Path) -> None:
    for version in ("1.1", "2.0"):
        write(tmp_path / f"raw/train-v{version}.json", article("Bread", one=[question("1", "a")]))
    with pytest.raises(InputError, match=r"expected one train file .* got train-v1.1.json, train-v2.0.json"):
        convert_raw(tmp_path / "raw", tmp_path / "out", "squad")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"squad.json: expected a list of objects at 'data', got None"),
        ({"data": [{"title": "T"}]}, r"squad.json: data.0: expected a list of objects at 'paragraphs', got None"),
        (
            {"data": [{"paragraphs": [{"qas": []}]}]},
            r"squad.json: data.0.paragraphs.0: expected context, got the columns qas",
        ),
        (
            {"data": [{"paragraphs": [{"context": "one", "qas": [{"id": 3.0, "question": "q"}]}]}]},
            r"squad.json: data.0.paragraphs.0.qas.0: query_id: expected text or a whole number, got 3.0",
        ),
    ],
)
def test_wrong_content_is_refused(content: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "squad.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        convert_raw(tmp_path / "squad.json", tmp_path / "out", "squad")


@pytest.mark.skipif(not REAL.is_dir(), reason="real XQuAD data is not beside the repository")
@pytest.mark.parametrize(("language", "repeated"), [("en", 3), ("zh", 9), ("de", None), ("es", None)])
def test_real_xquad_has_the_published_counts(language: str, repeated: int | None, tmp_path: Path) -> None:
    raw = REAL / f"xquad.{language}.json"
    data = convert_raw(raw, tmp_path / "out", "squad", merge_queries=True)
    merged = data.statistics["dropped"].get("query merged", 0)
    assert len(data.corpus) == 240
    assert data.counts()["train"] == (1190 - merged, 1190 - merged)  # repeated within one paragraph
    assert repeated in (merged, None)
