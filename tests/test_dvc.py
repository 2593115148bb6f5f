"""dvc.yaml says the truth about what each stage reads."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from retune.training.keeping import checkpoints
from tests.support.imports import import_closure
from tests.support.repository import REPOSITORY

STAGES = YAML(typ="safe").load(REPOSITORY / "dvc.yaml")["stages"]
SOURCE = "src/retune/"
CHOSEN = re.compile(r"\$\{item\.(\w+)\}")
# modules that a stage loads by a name from params.yaml, as dvc.yaml names them
LOADED_BY_NAME = {"convert": [f"{SOURCE}formats/${{item.format}}.py"]}


def deps(stage: str) -> list[str]:
    return [path for path in STAGES[stage].get("do", STAGES[stage])["deps"] if path.startswith((SOURCE, "stages/"))]


def imported(stage: str) -> set[str]:
    """Return the files that a stage's script imports, without packages' own; what formats share counts."""
    files = import_closure(REPOSITORY / "stages" / f"{stage}.py", REPOSITORY)
    if stage in LOADED_BY_NAME:
        formats = set((REPOSITORY / SOURCE / "formats").glob("*.py"))
        names = {path.relative_to(REPOSITORY).as_posix() for path in formats}
        shared = set().union(*(import_closure(path, REPOSITORY) for path in formats)) - names
        files |= shared
    return {path for path in files if not path.endswith("__init__.py")}


def covers(dep: str, path: str) -> bool:
    return path == dep or path.startswith(f"{dep}/")


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_deps_hold_all_that_the_stage_imports(stage: str) -> None:
    assert not [path for path in imported(stage) if not any(covers(dep, path) for dep in deps(stage))]


@pytest.mark.parametrize("stage", STAGES)
def test_no_dep_is_without_use(stage: str) -> None:
    files = imported(stage)
    unused = [dep for dep in deps(stage) if not any(covers(dep, path) for path in files)]
    assert unused == LOADED_BY_NAME.get(stage, [])


def test_no_format_imports_another() -> None:
    for path in (REPOSITORY / SOURCE / "formats").glob("*.py"):
        closure = import_closure(path, REPOSITORY) - {path.relative_to(REPOSITORY).as_posix()}
        assert not [name for name in closure if re.search(r"formats/(?!__init__)", name)], path


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


def test_checkpoints_depend_on_the_code_that_training_depends_on() -> None:
    assert sorted(f"{SOURCE}{name}" for name in checkpoints.CODE) == sorted(
        path for path in deps("finetune") if path.startswith(SOURCE)
    )


def test_stage_scripts_are_thin() -> None:
    for path in (REPOSITORY / "stages").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 30, path


def test_graph_is_short() -> None:
    assert len((REPOSITORY / "dvc.yaml").read_text().splitlines()) <= 260
    assert len((REPOSITORY / "dvc.lock").read_text().splitlines()) <= 3050


def test_outputs_in_git_stay_while_inputs_are_missing() -> None:
    # DVC deletes a stage's other outputs first, and cannot pull a folder that several stages write to
    outs = [out for stage in STAGES.values() for out in stage.get("do", stage)["outs"]]
    cached = [out for out in outs if isinstance(out, str)]
    readers = {
        name
        for name, stage in STAGES.items()
        if any(path.startswith(f"{dep}/") for dep in stage.get("do", stage)["deps"] for path in cached)
    }
    assert readers == {"compare"}
    assert all(options["persist"] for out in STAGES["compare"]["outs"] for options in out.values())
    in_git = [options for out in outs if isinstance(out, dict) for options in out.values() if "cache" in options]
    assert all(options == {"cache": False, "persist": True} for options in in_git)


def test_outputs_in_git_are_not_ignored_and_cached_ones_are() -> None:
    ignored = (REPOSITORY / ".gitignore").read_text().split()
    for stage in STAGES.values():
        for out in stage.get("do", stage)["outs"]:
            [(path, options)] = out.items() if isinstance(out, dict) else [(out, {})]
            in_git = options.get("cache") is False
            assert in_git != any(f"/{path}".startswith(prefix) for prefix in ignored if prefix.startswith("/")), path
