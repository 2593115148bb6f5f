"""Which files of this repository a script imports, directly or not, found by reading its syntax tree."""

import ast
from pathlib import Path

ROOTS = {"retune": "src/retune", "stages": "stages"}


def import_closure(script: Path, repository: Path) -> set[str]:
    """Return the script and all it imports, as paths relative to the repository.

    Importing a module runs the `__init__.py` of its packages, so they count.
    """
    found: set[str] = set()
    waiting = {script.relative_to(repository).as_posix()}
    while waiting:
        path = waiting.pop()
        found.add(path)
        tree = ast.parse((repository / path).read_text(encoding="utf-8"))
        waiting |= {file for name in _imported_names(tree) for file in _files(name, repository)} - found
    return found | set(_files("stages", repository))


def _imported_names(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _files(name: str, repository: Path) -> list[str]:
    """Return the files that importing a dotted name runs, if it is ours."""
    package, *parts = name.split(".")
    if package not in ROOTS:
        return []
    folder = repository / ROOTS[package]
    files = [folder / "__init__.py"]
    for part in parts:
        folder = folder / part
        files += [folder / "__init__.py", folder.with_suffix(".py")]
    return [file.relative_to(repository).as_posix() for file in files if file.is_file()]
