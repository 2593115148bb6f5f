"""Raw data is copied whole or not at all, and never over other data."""

import shutil
from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.starting import raw_data
from retune.starting.source import find
from tests.support.user_data import write


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_visible_files_are_copied_once(tmp_path: Path) -> None:
    source = find(str(write(tmp_path / "handbook", {"a.md": "x", "sub/b.md": "y", ".git/config": "z"})))
    place = raw_data.place_of(source, "rules", tmp_path / "raw")
    assert raw_data.bring(source, place)
    assert names(tmp_path / "raw") == ["rules/a.md", "rules/sub/b.md"]
    assert not raw_data.bring(source, raw_data.place_of(source, "rules", tmp_path / "raw"))


@pytest.mark.parametrize(("name", "copy"), [("FAQ.v2.CSV", "faq.csv"), ("faq.jsonl.gz", "faq.jsonl.gz")])
def test_file_keeps_the_suffixes_by_which_it_is_read(name: str, copy: str, tmp_path: Path) -> None:
    source = find(str(write(tmp_path, {name: "x"}) / name))
    raw_data.bring(source, raw_data.place_of(source, "faq", tmp_path / "raw"))
    assert names(tmp_path / "raw") == [copy]


def test_data_that_is_in_place_stays_there(tmp_path: Path) -> None:
    source = find(str(write(tmp_path / "raw/handbook", {"a.md": "x", ".hidden": "y"})))
    place = raw_data.place_of(source, "handbook", tmp_path / "raw")
    assert not raw_data.bring(source, place)


@pytest.mark.parametrize("content", [{"a.md": "other"}, {"a.md": "x", "b.md": "y"}])
def test_other_data_in_place_is_refused(content: dict, tmp_path: Path) -> None:
    write(tmp_path / "raw/handbook", content)
    source = find(str(write(tmp_path / "handbook", {"a.md": "x"})))
    with pytest.raises(InputError, match="found other data; nothing is changed"):
        raw_data.place_of(source, "handbook", tmp_path / "raw")


def test_data_that_dvc_has_and_that_was_not_pulled_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "raw", {"handbook.dvc": "outs: []"})
    source = find(str(write(tmp_path / "handbook", {"a.md": "x"})))
    with pytest.raises(
        InputError, match=r"handbook: expected the file that handbook.dvc describes, found nothing; run"
    ):
        raw_data.place_of(source, "handbook", tmp_path / "raw")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_copy_that_stops_leaves_nothing(error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = find(str(write(tmp_path / "handbook", {"a.md": "x", "b.md": "y"})))
    copy = shutil.copyfile

    def stop_at_b(file: Path, target: Path) -> None:
        if file.name == "b.md":
            raise error
        copy(file, target)

    monkeypatch.setattr(shutil, "copyfile", stop_at_b)
    with pytest.raises((KeyboardInterrupt, InputError)):
        raw_data.bring(source, raw_data.place_of(source, "handbook", tmp_path / "raw"))
    assert names(tmp_path / "raw") == []
    assert not (tmp_path / "raw/handbook").exists()
