"""Format `python_docs` on a package made for it, and as the default run uses it."""

from pathlib import Path
from typing import Any

import pytest

from retune.core.errors import InputError
from tests.support.conversion import Converted, convert_raw
from tests.support.repository import REPOSITORY


def read_docs(lock: Path, out: Path, **values: Any) -> Converted:
    limits = {"min_query_words": 4, "min_characters": 80, "max_characters": 200, "max_documents": 100}
    return convert_raw(lock, out, "python_docs", **{"packages": ["datasketch_like"]} | limits | values)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of one module whose import would fail."""
    folder = tmp_path / "site" / "datasketch_like"
    (folder / "tests").mkdir(parents=True)
    rest = "The rest of the text says at length what it returns and how it came to be."
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "tests" / "test_it.py").write_text(
        f'def test():\n    """Never read in a test folder.\n\n    {rest} {rest}"""\n'
    )
    (folder / "core.py").write_text(
        f'class Sketch:\n    """Estimate how many\n    are there.\n\n    {rest} {rest}\n    """\n'
        f'    def merge(self):\n        """Merge another sketch in.\n\n        {rest} Merged. {rest}"""\n'
        f'    def _hidden(self):\n        """A private method is skipped.\n\n        {rest} {rest}"""\n'
        f'def short():\n    """Has no rest at all."""\n'
        f'def again():\n    """Repeat the same rest.\n\n    {rest} {rest}"""\n'
    )
    info = tmp_path / "site" / "datasketch_like-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: datasketch-like\nVersion: 1.5+local\n")
    (info / "top_level.txt").write_text("datasketch_like\n")
    (info / "RECORD").write_text("datasketch_like/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path


def test_documentation_is_split_without_importing(package: Path) -> None:
    (package / "lock.txt").write_text("Datasketch_Like==1.5 ; python_version > '3'\n")
    result = read_docs(package / "lock.txt", package / "out")
    assert result.queries() == {
        "datasketch_like.core.Sketch": "Estimate how many are there.",
        "datasketch_like.core.Sketch.merge": "Merge another sketch in.",
    }
    assert result.corpus["text"].str.startswith("The rest of the text").all()
    assert result.statistics["dropped"] == {"query or document too short": 1, "document repeated": 1}


def test_limit_is_counted(package: Path) -> None:
    (package / "lock.txt").write_text("datasketch-like==1.5\n")
    result = read_docs(package / "lock.txt", package / "out", max_documents=1)
    assert len(result.corpus) == 1
    assert result.statistics["dropped"]["above max_documents"] == 1


@pytest.mark.parametrize(
    ("lock", "packages", "message"),
    [
        ("datasketch-like==1.4\n", ["datasketch_like"], "expected the installed version 1.5 to be pinned, got 1.4"),
        ("other==1\n", ["datasketch_like"], "expected the installed version 1.5 to be pinned, got none"),
        ("other==1\n", ["no_such_package"], "no_such_package: expected an installed package, found none"),
        ("", ["datasketch_like"], "expected data, got an empty file"),
        ("other==1\n", ["json"], "json: expected a package that .* pins, got one that belongs to no"),
    ],
)
def test_pinned_version_is_needed(lock: str, packages: list[str], message: str, package: Path) -> None:
    (package / "lock.txt").write_text(lock)
    with pytest.raises(InputError, match=message):
        read_docs(package / "lock.txt", package / "out", packages=packages)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["science", "sympy"])
def test_default_run_has_enough_test_queries_with_documents_of_their_own(
    name: str, default_params: dict, tmp_path: Path
) -> None:
    entry = default_params["defaults"]["convert"] | default_params["convert"][name]
    result = convert_raw(REPOSITORY / entry["raw"], tmp_path, "python_docs", **entry)
    assert len(result.queries("test")) >= 300
    documents = {split: set(part.qrels["doc_id"]) for split, part in result.splits.items()}
    assert not documents["train"] & (documents["test"] | documents["dev"])
    assert not documents["dev"] & documents["test"]


def test_same_versions_give_the_same_bytes(package: Path) -> None:
    (package / "lock.txt").write_text("datasketch-like==1.5\n")
    for run in "ab":
        read_docs(package / "lock.txt", package / run)
    files = sorted(path.relative_to(package / "a") for path in (package / "a").rglob("*.parquet"))
    assert len(files) == 8
    for file in files:
        assert (package / "a" / file).read_bytes() == (package / "b" / file).read_bytes()
