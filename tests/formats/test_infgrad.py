"""Rows of a query, a positive and a hard negative, in a zip."""

import json
import zipfile
from pathlib import Path

import pytest

from retune.core.errors import InputError
from tests.support.conversion import convert_raw


def row(query: str, positive: str, negative: str) -> dict[str, str]:
    return {"Query": query, "Positive Document": positive, "Hard Negative Document": negative}


ROWS = [
    row("如何申请护照", "到出入境管理局办理护照", "到车管所办理驾照"),
    row("how to brew tea", "pour hot water on the leaves", "grind the coffee beans"),
    row("how to brew tea", "steep the leaves three minutes", "boil the pasta"),
]


def write_zip(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def lines(rows: list[dict[str, str]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize("content", [json.dumps(ROWS, indent=1), lines(ROWS), "\ufeff" + json.dumps(ROWS)])
def test_zip_of_an_array_or_of_lines_is_read(content: str, tmp_path: Path) -> None:
    raw = write_zip(tmp_path / "data.zip", **{"folder/data.json": content})
    data = convert_raw(raw, tmp_path / "out", "infgrad")
    assert data.queries() == {"q1": "如何申请护照", "q2": "how to brew tea", "q3": "how to brew tea"}
    assert ("如何申请护照", "到出入境管理局办理护照", 1) in data.judged()
    assert ("如何申请护照", "到车管所办理驾照", 0) in data.judged()
    assert len(data.judged()) == 6


@pytest.mark.parametrize(("name", "content"), [("data.json", json.dumps(ROWS)), ("data.jsonl", lines(ROWS))])
def test_unpacked_json_is_read(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert convert_raw(tmp_path / name, tmp_path / "out", "infgrad").counts() == {"train": (3, 6)}


def test_folder_may_hold_the_zip(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    write_zip(tmp_path / "raw/data.zip", **{"data.jsonl": lines(ROWS)})
    assert convert_raw(tmp_path / "raw", tmp_path / "out", "infgrad").counts() == {"train": (3, 6)}


def test_documents_of_a_repeated_query_stay_out_where_the_first_is_kept(tmp_path: Path) -> None:
    raw = write_zip(tmp_path / "data.zip", **{"data.json": json.dumps(ROWS)})
    data = convert_raw(raw, tmp_path / "out", "infgrad", merge_queries="keep_first")
    assert list(data.queries()) == ["q1", "q2"]
    assert not {"steep the leaves three minutes", "boil the pasta"} & set(data.texts().values())
    assert len(data.corpus) == 4
    assert data.statistics["dropped"]["query repeated"] == 1


def test_merged_query_has_the_documents_of_all_its_rows(tmp_path: Path) -> None:
    raw = write_zip(tmp_path / "data.zip", **{"data.json": json.dumps(ROWS)})
    data = convert_raw(raw, tmp_path / "out", "infgrad", merge_queries=True)
    assert {(text, grade) for query, text, grade in data.judged() if query == "how to brew tea"} == {
        ("pour hot water on the leaves", 1),
        ("steep the leaves three minutes", 1),
        ("grind the coffee beans", 0),
        ("boil the pasta", 0),
    }


def test_what_macos_adds_to_an_archive_is_no_second_file(tmp_path: Path) -> None:
    members = {"data.json": json.dumps(ROWS), "__MACOSX/._data.json": "x", ".hidden.json": "x", "README.md": "x"}
    raw = write_zip(tmp_path / "data.zip", **members)
    assert convert_raw(raw, tmp_path / "out", "infgrad").counts() == {"train": (3, 6)}


@pytest.mark.parametrize(
    "name", ["/etc/data.json", "../data.json", "a/../../data.json", "..\\data.json", "C:\\data.json"]
)
def test_member_outside_the_archive_is_refused_by_name(name: str, tmp_path: Path) -> None:
    raw = write_zip(tmp_path / "data.zip", **{name: lines(ROWS)})
    with pytest.raises(InputError, match=r"data.zip: expected members inside the archive, got '.*data.json'"):
        convert_raw(raw, tmp_path / "out", "infgrad")


@pytest.mark.parametrize(
    ("members", "found"),
    [({"a.json": "[]", "b.jsonl": "{}"}, "'a.json', 'b.jsonl'"), ({"a.txt": "x"}, "none")],
)
def test_archive_without_one_json_file_is_refused(members: dict[str, str], found: str, tmp_path: Path) -> None:
    raw = write_zip(tmp_path / "data.zip", **members)
    with pytest.raises(InputError, match=f"expected one member named .json or .jsonl, got {found}"):
        convert_raw(raw, tmp_path / "out", "infgrad")


def test_damaged_archive_is_refused(tmp_path: Path) -> None:
    raw = write_zip(tmp_path / "data.zip", **{"data.json": lines(ROWS * 50)})
    content = bytearray(raw.read_bytes())
    content[60:90] = bytes(30)
    raw.write_bytes(content)
    with pytest.raises(InputError, match="data.zip:1: expected a whole zip file, got: "):
        convert_raw(raw, tmp_path / "out", "infgrad")
    raw.write_bytes(content[:200])
    with pytest.raises(InputError, match="expected a whole zip file, got: File is not a zip file"):
        convert_raw(raw, tmp_path / "out", "infgrad")


def test_encrypted_archive_is_refused(tmp_path: Path) -> None:
    raw = write_zip(tmp_path / "data.zip", **{"data.json": lines(ROWS)})
    content = raw.read_bytes()
    directory = content.index(b"PK\x01\x02")
    raw.write_bytes(content[: directory + 8] + b"\x01" + content[directory + 9 :])  # the flag for encryption
    with pytest.raises(InputError, match="expected an archive without a password, got 'data.json' encrypted"):
        convert_raw(raw, tmp_path / "out", "infgrad")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines(ROWS) + '{"Query": "a", "Positive Document": "b"}', "data.zip:4: expected Hard Negative Document, got"),
        (lines(ROWS) + "{", "data.zip:4: expected JSON, got Expecting"),
        ('[{},\n"x" 1]', "data.zip:2: expected JSON, got Expecting"),
        ("[1]", "data.zip: 0: expected a JSON object, got int"),
        (lines([row("a", "", " ")]), "data.zip:1: text: expected non-empty text, got ''"),
    ],
)
def test_wrong_content_is_named_by_line(content: str, message: str, tmp_path: Path) -> None:
    raw = write_zip(tmp_path / "data.zip", **{"data.jsonl": content})
    with pytest.raises(InputError, match=message):
        convert_raw(raw, tmp_path / "out", "infgrad")


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("data.jsonl", '{"Query": "é"}'.encode("latin-1"))
    with pytest.raises(InputError, match="data.zip:1: expected UTF-8"):
        convert_raw(tmp_path / "data.zip", tmp_path / "out", "infgrad")
