"""Replace params.yaml by a preset without losing a change."""

import subprocess
from pathlib import Path

from retune.check.checking import check
from retune.core.errors import InputError, ParameterError
from retune.core.files import write_text
from retune.core.params_file import read_params


def use(name: str, presets: Path, params: Path) -> None:
    """Copy `presets/<name>.yaml` to `params`.

    Raises:
        InputError: There is no such preset, it is not valid, or `params` has changes that are neither
            committed nor those of a preset.
    """
    contents = {path.stem: path.read_text(encoding="utf-8") for path in sorted(presets.glob("*.yaml"))}
    if name not in contents:
        raise InputError(f"{presets}: expected one of {', '.join(contents)}, got {name!r}: make use PRESET=name")
    status = subprocess.run(
        ["git", "status", "--porcelain", "--", str(params)], capture_output=True, text=True, check=False
    )
    if status.returncode != 0:
        raise InputError(f"{params}: expected a file in a Git repository, got: {status.stderr.strip()}")
    if status.stdout and params.is_file() and params.read_text(encoding="utf-8") not in contents.values():
        raise InputError(f"{params}: expected no uncommitted changes, got some; commit them or git restore {params}")
    preset = presets / f"{name}.yaml"
    try:
        check(read_params(str(preset)))
    except ParameterError as error:
        raise ParameterError(error.findings, file=str(preset)) from None
    write_text(params, contents[name])
