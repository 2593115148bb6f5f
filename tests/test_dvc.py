"""dvc.yaml says the truth about what each stage reads."""

import re
from pathlib import Path

import pytest
from conftest import REPOSITORY
from imports import import_closure
from ruamel.yaml import YAML

STAGES = YAML(typ="safe").load(REPOSITORY / "dvc.yaml")["stages"]


def code_deps(stage: str) -> set[str]:
    deps = STAGES[stage].get("do", STAGES[stage])["deps"]
    return {path for path in deps if path.endswith(".py") and "${" not in path}


def imported(stage: str) -> set[str]:
    """Return what a stage's script imports; convert loads a converter by name, so what converters share counts."""
    files = import_closure(REPOSITORY / "stages" / f"{stage}.py", REPOSITORY)
    if stage == "convert":
        converters = set((REPOSITORY / "src/retune/converters").glob("*.py"))
        names = {path.relative_to(REPOSITORY).as_posix() for path in converters if path.name != "__init__.py"}
        files |= set().union(*(import_closure(path, REPOSITORY) for path in converters)) - names
    return files


@pytest.mark.parametrize("stage", STAGES)
def test_deps_equal_what_the_stage_imports(stage: str) -> None:
    assert code_deps(stage) == imported(stage)


def test_no_converter_imports_another() -> None:
    for path in (REPOSITORY / "src/retune/converters").glob("*.py"):
        closure = import_closure(path, REPOSITORY) - {path.relative_to(REPOSITORY).as_posix()}
        assert not [name for name in closure if re.search(r"converters/(?!__init__)", name)], path


def test_import_closure_follows_packages_and_names(tmp_path: Path) -> None:
    for name, text in {
        "src/retune/__init__.py": "",
        "src/retune/a.py": "import retune.sub.b",
        "src/retune/sub/__init__.py": "",
        "src/retune/sub/b.py": "import numpy",
        "src/retune/unused.py": "",
        "stages/__init__.py": "",
        "stages/x.py": "from retune import a",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    names = {"stages/x.py", "stages/__init__.py", "a.py", "sub/__init__.py", "sub/b.py", "__init__.py"}
    expected = {name if name.startswith("stages") else f"src/retune/{name}" for name in names}
    assert import_closure(tmp_path / "stages/x.py", tmp_path) == expected


def test_stage_scripts_are_thin() -> None:
    for path in (REPOSITORY / "stages").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 30, path


def test_outputs_in_git_are_not_ignored_and_cached_ones_are() -> None:
    ignored = (REPOSITORY / ".gitignore").read_text().split()
    for stage in STAGES.values():
        for out in stage.get("do", stage)["outs"]:
            in_git = isinstance(out, dict)
            path = next(iter(out)) if in_git else out
            assert in_git != any(f"/{path}".startswith(prefix) for prefix in ignored if prefix.startswith("/")), path
