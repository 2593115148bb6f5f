"""The grid of a sweep: parameters with their values, combined with each other, and drawn from at random."""

import itertools
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from retune.core.errors import InputError
from retune.core.seeds import generator

Values = dict[str, Any]  # by dotted name, such as averaging.from_epoch
SETTING = re.compile(r"([A-Za-z_][\w.]*)=(.*)", flags=re.DOTALL)
PLAIN = re.compile(r"[\w./+-]+")
FIXED = ("dev", "dev_metric", "dev_documents", "home", "cross_encoder.k")  # they decide how models are scored


def read_grid(settings: Sequence[str]) -> dict[str, list[Any]]:
    """Read parameters and their values, each given as `name=value,value` with values as in params.yaml.

    Raises:
        InputError: A setting is malformed, a parameter is given twice or cannot be swept over, or a value is repeated.
    """
    grid: dict[str, list[Any]] = {}
    for setting in settings:
        match = SETTING.fullmatch(setting)
        values = _read_values(match[2]) if match else []
        if match is None or not values:
            raise InputError(
                f"--try: expected a parameter and its values, such as learning_rate=2e-5,5e-5, got {setting!r}"
            )
        name = match[1]
        if name in grid:
            raise InputError(f"--try: expected {name} once, with all its values after one =, got it twice")
        if name in FIXED:
            raise InputError(
                f"--try: expected a parameter that trains another model, got {name}, which decides how it is scored"
            )
        if any(isinstance(value, dict) for value in values):
            raise InputError(
                f"--try: expected {name}.<parameter>=value,value for a parameter of a block, got {setting!r}"
            )
        if repeated := [value for position, value in enumerate(values) if value in values[:position]]:
            raise InputError(f"--try: expected different values of {name}, got {as_text(repeated[0])} twice")
        grid[name] = values
    return grid


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[Values]:
    """Return each combination of the values; the last parameter changes fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def draw(configurations: Sequence[Values], count: str, seed: int) -> list[Values]:
    """Draw some configurations; a larger number draws the same ones first.

    Raises:
        InputError: The count is no whole number from 1 to the number of configurations.
    """
    most = len(configurations)
    if not count.isdecimal() or not 1 <= int(count) <= most:
        raise InputError(f"--random: expected a whole number from 1 to {most}, the size of the grid, got {count!r}")
    order = generator(seed, "configurations of a sweep").permutation(most)
    return [configurations[position] for position in order[: int(count)]]


def changed(entry: Mapping[str, Any], values: Values) -> dict[str, Any]:
    """Return an entry of params.yaml with some values replaced or added."""
    result = dict(entry)
    for name, value in values.items():
        first, dot, rest = name.partition(".")
        inner = result.get(first)
        result[first] = changed(inner if isinstance(inner, Mapping) else {}, {rest: value}) if dot else value
    return result


def experiment(model: str, values: Values) -> str:
    """Return the command that trains a configuration as an experiment of DVC."""
    settings = (shlex.quote(f"++finetune.{model}.{name}={as_text(value)}") for name, value in values.items())
    return " ".join(["dvc exp run", *(f"-S {setting}" for setting in settings)])


def described(values: Values) -> str:
    """Return a configuration in words, such as `learning_rate=5e-05, epochs=2`."""
    return ", ".join(f"{name}={as_text(value)}" for name, value in values.items())


def as_text(value: object) -> str:
    """Return a value as DVC reads it on its command line."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return f"[{','.join(map(as_text, value))}]"
        case str() if not PLAIN.fullmatch(value) or YAML(typ="safe").load(value) != value:
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            return f"'{escaped}'"
        case _:
            return str(value)


def _read_values(text: str) -> list[Any]:
    try:
        values = YAML(typ="safe").load(f"[{text}]")
    except YAMLError:
        return []
    return values if isinstance(values, list) else []
