"""Read params.yaml as DVC does, but without DVC: importing it and loading its graph takes a second in every stage."""

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from retune.core.errors import InputError

PARAMS = "params.yaml"
GRAPH = "dvc.yaml"


def read_params(path: str = PARAMS, stage: str | None = None) -> dict[str, Any]:
    """Return the parameters of a file; if a stage is named, only those that it declares. No file: no parameters.

    Raises:
        InputError: The file is no YAML mapping, or dvc.yaml has no such stage.
    """
    params = _read_mapping(path)
    return params if stage is None else _select(params, declared(stage))


def declared(stage: str) -> list[str]:
    """Return the dotted keys under `params` of a stage in dvc.yaml: for `mine@eedi`, among others `mine.eedi`."""
    name, _, key = stage.partition("@")
    stages = _read_mapping(GRAPH).get("stages", {})
    if name not in stages:
        raise InputError(f"{GRAPH}: expected a stage named {name!r}, as DVC_STAGE says, found none")
    definition = stages[name].get("do", stages[name])
    return [str(param).replace("${key}", key) for param in definition.get("params", [])]


def _read_mapping(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
        content = YAML(typ="safe").load(text) or {}
    except FileNotFoundError:
        return {}
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: expected YAML that DVC can read, got: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of sections, got a list or text")
    return content


def _select(params: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return a copy with only the values at dotted keys; keys without a value are skipped."""
    selected: dict[str, Any] = {}
    for key in keys:
        *parents, name = key.split(".")
        source: Any = params
        for parent in parents:
            source = source.get(parent) if isinstance(source, Mapping) else None
        if isinstance(source, Mapping) and name in source:
            target = selected
            for parent in parents:
                target = target.setdefault(parent, {})
            target[name] = copy.deepcopy(source[name])
    return selected
