"""The data a user points at: what belongs to it, and its name."""

from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.starting.source import find, name_of
from tests.support.user_data import PAIRS, write


@pytest.mark.parametrize(("make", "line"), [("", "make start DATA=path"), ("nowhere", "found nothing; fix the path")])
def test_no_data_is_one_line(make: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=line):
        find(make)


def test_hidden_files_and_links_to_folders_are_no_data(tmp_path: Path) -> None:
    write(tmp_path / "data", {"a.md": "text", ".git/config.md": "x", ".hidden.md": "x"})
    write(tmp_path / "other", {"b.md": "text"})
    (tmp_path / "data/link").symlink_to(tmp_path / "other")
    assert list(find(str(tmp_path / "data")).files) == ["a.md"]


@pytest.mark.parametrize(
    ("path", "wanted", "name"),
    [("My Handbook-2", "", "my_handbook_2"), ("faq.v2.csv", "", "faq"), ("数据", "laws", "laws")],
)
def test_name_is_that_of_the_file_in_the_letters_of_a_name(path: str, wanted: str, name: str, tmp_path: Path) -> None:
    if path.endswith(".csv"):
        (tmp_path / path).write_text(PAIRS)
    else:
        write(tmp_path / path, {"a.md": "x"})
    assert name_of(find(str(tmp_path / path)), wanted) == name


@pytest.mark.parametrize(("path", "wanted"), [("数据", ""), ("handbook", "My Set")])
def test_name_that_params_cannot_hold_is_refused(path: str, wanted: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="NAME: expected a name of a-z, 0-9 and _"):
        name_of(find(str(write(tmp_path / path, {"a.md": "x"}))), wanted)
