"""The packages under src/retune: their questions, size and order, the tests that mirror them, the page about them."""

import ast
import re
import shutil
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.repository import REPOSITORY, run

SOURCE = REPOSITORY / "src" / "retune"
PACKAGES = sorted(path.parent for path in SOURCE.rglob("__init__.py") if path.parent != SOURCE)
TOP = sorted(path.name for path in PACKAGES if path.parent == SOURCE)
MAX_MODULES = 20
SIBLINGS = {"formats", "layouts"}  # their modules are interchangeable, so any number of them reads as one
TESTS = sorted((REPOSITORY / "tests").glob("*/**/test_*.py"))

PAGE = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
OUTPUTS = ("data/", "metrics/", "models/", "reports/")  # of stages, so a fresh clone lacks most of them
PATHS = [
    span
    for span in sorted(set(re.findall(r"`([^`\s]+)`", PAGE)))
    if span.startswith(OUTPUTS) or re.search(r"(/|\.(py|md|yaml|toml))$", span)
]

each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(SOURCE).as_posix())


def modules(package: Path) -> list[str]:
    return sorted(path.stem for path in package.glob("*.py") if path.stem != "__init__")


@each_package
def test_package_asks_its_question_in_one_line_and_holds_nothing_else(package: Path) -> None:
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    docstring = ast.get_docstring(tree) or ""
    assert re.split(r"(?<=[.?!])\s", docstring)[0].endswith("?"), docstring
    assert "\n" not in docstring
    assert len(tree.body) == 1


@each_package
def test_package_is_small_enough_to_look_over(package: Path) -> None:
    assert package.name in SIBLINGS or len(modules(package)) <= MAX_MODULES, modules(package)


def test_every_module_belongs_to_a_package() -> None:
    assert modules(SOURCE) == []
    folders = {path.parent for path in SOURCE.rglob("*.py")} - {SOURCE}
    assert sorted(folders) == PACKAGES


def test_order_of_packages_lists_each_of_them_once() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = settings["contracts"]
    assert (contract["type"], contract["containers"], contract["exhaustive"]) == ("layers", ["retune"], True)
    assert sorted(contract["layers"]) == TOP


def imported() -> set[str]:
    """The first names of all absolute imports of the sources."""
    names: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - {"retune"} - sys.stdlib_module_names


def normalised(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_types_are_checked_without_the_packages_that_are_optional() -> None:
    pins = re.findall(r"^([\w.-]+)==", (REPOSITORY / "requirements.txt").read_text(encoding="utf-8"), re.M)
    required = {normalised(pin) for pin in pins}
    installed = packages_distributions()
    optional = {name for name in imported() if required.isdisjoint(map(normalised, installed.get(name, [])))}
    assert {"fastapi", "ray"} <= optional
    mypy = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    (override,) = mypy["overrides"]
    assert override["ignore_missing_imports"]
    assert sorted(name for name in optional if f"{name}.*" not in override["module"]) == []


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("core/seeds.py", "import retune.training.spec\n", "retune.core.seeds -> retune.training.spec"),
        (
            "core/seeds.py",
            "def f():\n    from retune.text import language\n",
            "retune.core.seeds -> retune.text.language",
        ),
        ("novel/__init__.py", "", "- retune.novel"),
        ("helpers.py", "", "- retune.helpers"),
    ],
    ids=["import upward", "import upward inside a function", "package that is not in the list", "module in no package"],
)
def test_make_check_fails_on(path: str, text: str, message: str, tmp_path: Path) -> None:
    copy = tmp_path / "src"
    shutil.copytree(SOURCE, copy / "retune", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "retune" / path).parent.mkdir(exist_ok=True)
    with (copy / "retune" / path).open("a", encoding="utf-8") as file:
        file.write(text)
    command = re.search(r"lint-imports.*", (REPOSITORY / "Makefile").read_text(encoding="utf-8"))[0]
    shutil.copy2(REPOSITORY / "pyproject.toml", tmp_path)
    result = run(f"{command} --no-cache", tmp_path, PYTHONPATH=str(copy))
    assert result.returncode == 1
    assert message in result.stdout


def test_folders_of_tests_mirror_the_packages() -> None:
    folders = {path.parent.relative_to(REPOSITORY / "tests") for path in TESTS}
    assert folders <= {package.relative_to(SOURCE) for package in PACKAGES}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.relative_to(REPOSITORY / "tests").as_posix())
def test_file_of_tests_is_named_after_the_module_it_tests(path: Path) -> None:
    known = modules(SOURCE / path.parent.relative_to(REPOSITORY / "tests"))
    assert any(f"{path.stem}_".startswith(f"test_{module}_") for module in known), known


def pattern(path: str) -> str:
    """Put a star for each name in a path, as the page writes them (<name>) and dvc.yaml does (${name})."""
    return re.sub(r"<\w+>|\$\{[\w.]+\}", "*", path)


def files(path: str) -> list[Path]:
    return [file for folder in (SOURCE, REPOSITORY) for file in folder.glob(pattern(path).rstrip("/"))]


@pytest.mark.parametrize("path", PATHS)
def test_path_on_the_page_exists(path: str) -> None:
    graph = (REPOSITORY / "dvc.yaml").read_text(encoding="utf-8")
    outputs = {pattern(output) for output in re.findall(r"^ +- ([^:\s]+)", graph, flags=re.MULTILINE)}
    assert pattern(path) in outputs or files(path)


def test_names_on_the_page_are_in_the_files_it_says() -> None:
    found = re.findall(r"((?:`[\w.]+`(?:, | and )?)+)(?:, both)?\sin\s`([^`]+\.py)`", PAGE)
    assert len(found) > 30
    for spans, path in found:
        for name in re.findall(r"\w+", spans.replace(" and ", " ")):
            definition = re.compile(rf"^ *(?:(?:def|class) )?{name}\b *[:=(]", flags=re.MULTILINE)
            assert any(definition.search(file.read_text(encoding="utf-8")) for file in files(path)), name


def test_table_of_packages_is_the_contract_with_the_question_of_each() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+\?) \| ([^|]+) \|$", PAGE, flags=re.MULTILINE)
    contract = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert [package for package, _, _ in rows] == contract["contracts"][0]["layers"]
    for package, question, main in rows:
        assert (SOURCE / package / "__init__.py").read_text(encoding="utf-8").startswith(f'"""{question}')
        missing = [name for name in re.findall(r"`([\w/]+)`", main) if not (SOURCE / package / f"{name}.py").is_file()]
        assert missing == [], package


def test_page_stays_one_page() -> None:
    assert len(PAGE.splitlines()) <= 110


def _finds_src(module: Path) -> bool | None:
    """Return whether a benchmark puts src/ on the path before it imports retune; None if it does neither."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.split(".")[0] in ("stages", "retune"):
                return name.startswith("stages")
            imported = module.parent / f"{name.removeprefix('benchmarks.')}.py"
            if name.startswith("benchmarks.") and imported.is_file() and _finds_src(imported) is not None:
                return _finds_src(imported)
    return None


def test_every_benchmark_finds_src_before_it_imports_retune() -> None:
    assert [path.name for path in (REPOSITORY / "benchmarks").glob("*.py") if _finds_src(path) is False] == []
