"""This repository: where it is, a copy of it to run DVC in, and commands in one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.support import fork_server

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
WORDS = [
    "the",
    "a",
    "of",
    "array",
    "matrix",
    "sum",
    "mean",
    "sort",
    "graph",
    "edge",
    "node",
    "path",
    "prime",
    "factor",
    "integer",
    "root",
    "solve",
    "plot",
    "file",
    "read",
]


def run(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command with this Python first on PATH, or a fork server's; the caller looks at the exit status."""
    folders = [os.environ.get(fork_server.VARIABLE), str(Path(sys.executable).parent), os.environ["PATH"]]
    path = os.pathsep.join(filter(None, folders))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "PYTEST_"))}
    return subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def succeed(command: str, folder: Path, **variables: str) -> str:
    """Run a shell command that must succeed and return what it printed."""
    result = run(command, folder, **variables)
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout + result.stderr


def clone(folder: Path) -> None:
    """Copy the working tree's tracked files into a new repository with its own history and empty DVC cache."""
    folder.mkdir(parents=True)
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, tracked):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    succeed("git init -q -b main && git config user.email test@example.com && git config user.name test", folder)


def link_environment(folder: Path, server: Path) -> None:
    """Give a clone a .venv that `make` takes for installed: this Python's, with the programs of a fork server."""
    (folder / ".venv/bin").mkdir(parents=True)
    for program in ("python", "dvc"):
        (folder / ".venv/bin" / program).symlink_to(server / program)
    for entry in [*Path(sys.prefix).iterdir(), *(Path(sys.prefix) / "bin").iterdir()]:
        link = folder / ".venv" / entry.relative_to(sys.prefix)
        if not link.exists() and not entry.name.startswith("installed-"):
            link.symlink_to(entry)
    (folder / ".venv/installed-requirements.txt").touch()


def write_params(folder: Path, params: dict) -> None:
    """Write params.yaml in block style."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
