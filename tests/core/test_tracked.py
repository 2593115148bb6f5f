"""What DVC tracks and a clone lacks."""

from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.core.tracked import not_pulled, require_pulled


def test_absent_are_the_path_itself_and_files_inside_it(tmp_path: Path) -> None:
    (tmp_path / "raw/deep").mkdir(parents=True)
    for name in ("raw/a.csv", "raw/deep/b.csv", "raw/here.csv", "gone"):
        (tmp_path / f"{name}.dvc").touch()
    (tmp_path / "raw/here.csv").touch()
    assert not_pulled(tmp_path / "raw") == [tmp_path / "raw/a.csv", tmp_path / "raw/deep/b.csv"]
    assert not_pulled(tmp_path / "gone") == [tmp_path / "gone"]
    assert not_pulled(tmp_path / "raw/here.csv") == not_pulled(tmp_path / "never") == []


def test_each_absent_file_is_a_line_that_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv.dvc", "b.csv.dvc"):
        Path(name).touch()
    with pytest.raises(InputError) as caught:
        require_pulled(Path("."))
    assert str(caught.value).splitlines() == [
        f"{name}: expected the file that {name}.dvc describes, found nothing; run dvc pull {name}"
        for name in ("a.csv", "b.csv")
    ]
