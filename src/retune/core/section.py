"""Read and check sections of params.yaml: unknown, missing and mistyped values are errors."""

import copy
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import dvc.api
from dvc.exceptions import DvcException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from retune.core.errors import InputError, ParameterError

NAME = r"^[a-z0-9_]+$"
Name = Annotated[str, Field(pattern=NAME)]
"""The name of an entry, which becomes part of stage names and paths."""


def _is_plain_path(value: str) -> str:
    if re.fullmatch(r"[\w./][\w./+-]*", value) is None:
        raise ValueError(
            f"expected a path of letters, digits and . _ / + - (no spaces, because it becomes part of a command), "
            f"got {value!r}; rename the file or folder"
        )
    return value


RawPath = Annotated[str, AfterValidator(_is_plain_path)]
"""A file or folder without spaces, quotes or other shell characters."""

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
"""A fraction of at least 0 and below 1."""

DEFAULTS = "defaults"


class Section(BaseModel):
    """A mapping in params.yaml.

    A field has a default only if the default means off: null, false, 0 or an empty list. Every other value is in the
    file, in the entry itself or in `defaults.<stage>`, so that the file shows what ran.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """Former names of parameters, and what to write instead."""

    @classmethod
    def read(cls, key: str) -> Self:
        """Return the section at a dotted key such as `mine.eedi`, completed by its defaults.

        Raises:
            InputError: The key is absent or values are wrong; one line per finding.
        """
        return cls.parse(key, read_value(key), read_defaults(key))

    @classmethod
    def read_entries(cls, key: str) -> dict[str, Self]:
        """Return all entries of the section at `key` by name, completed by their defaults."""
        defaults = read_defaults(f"{key}.")
        return {name: cls.parse(f"{key}.{name}", value, defaults) for name, value in read_value(key).items()}

    @classmethod
    def parse(cls, key: str, value: object, defaults: Mapping[str, Any] | None = None) -> Self:
        """Check a value read from `key` after completing it by `defaults`; raises the same errors as `read`."""
        try:
            return cls.model_validate(merge(defaults or {}, value), context={"is_file": True})
        except ValidationError as error:
            lines = [_line(key, finding, value, defaults or {}) for finding in error.errors(include_url=False)]
            raise ParameterError(lines) from None

    @model_validator(mode="before")
    @classmethod
    def _has_no_former_name(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context and isinstance(value, Mapping):
            for old in cls.RENAMED:
                if old in value:
                    raise ValueError(f"{old}: not a parameter any more; {cls.RENAMED[old]}")
        return value


def merge(defaults: Mapping[str, Any], entry: object) -> Any:
    """Complete an entry by its defaults, also in nested mappings; values of the entry take precedence."""
    if not isinstance(entry, Mapping):
        return entry
    merged = dict(copy.deepcopy(dict(defaults)))
    for name, value in entry.items():
        default = defaults.get(name)
        merged[name] = merge(default, value) if isinstance(default, Mapping) else value
    return merged


def read_defaults(key: str) -> dict[str, Any]:
    """Return `defaults.<stage>` for the key of an entry such as `mine.eedi`; empty if the stage has none."""
    stage, dot, _ = key.partition(".")
    return defaults_of(read_all(), stage) if dot else {}


def defaults_of(params: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """Return a stage's defaults from all parameters."""
    return dict(params.get(DEFAULTS, {}).get(stage, {}))


def read_value(key: str) -> Any:
    """Return the value at a dotted key of params.yaml, as DVC reads it and without defaults.

    Inside a DVC stage, only the parameters that the stage declares exist; reading any other fails.
    """
    value: Any = read_all()
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise ParameterError([f"{key}: expected an entry, found none; add it, or declare it in dvc.yaml's params"])
        value = value[part]
    return value


def read_all() -> dict[str, Any]:
    """Return the parameters that the running stage declares, or all of params.yaml outside a stage."""
    return copy.deepcopy(_read_once(Path.cwd(), os.environ.get("DVC_STAGE")))


@cache
def _read_once(folder: Path, stage: str | None) -> dict[str, Any]:
    """Read the parameters in a folder, the current one: DVC takes half a second for it, as it reads dvc.lock too."""
    return read_file(None, stage)


def read_file(path: str | None, stage: str | None = None) -> dict[str, Any]:
    """Return the parameters of a file (None: params.yaml); if a stage is named, only those it declares."""
    try:
        return dict(dvc.api.params_show(*([path] if path else []), stages=stage))
    except DvcException as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise InputError(f"{path or 'params.yaml'}: expected YAML that DVC can read, got: {reason}") from None


def origins(key: str, value: Any, entry: object, defaults: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Yield each value of a checked section: its dotted name, the value, and the section of the file it comes from.

    Args:
        key: The key of the entry, such as `finetune.minilm_science`.
        value: The checked section, dumped to a mapping.
        entry: The value of `key` in params.yaml.
        defaults: The value of `defaults.<stage>` in params.yaml.
    """
    yield from _leaves(value, (), key, entry, defaults)


def _leaves(
    value: Any, path: tuple[str, ...], key: str, entry: object, defaults: Mapping[str, Any]
) -> Iterator[tuple[str, Any, str]]:
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _leaves(part, (*path, name), key, entry, defaults)
    else:
        yield ".".join(path), value, _place(key, path, entry, defaults) or "absent, so off"


def _place(key: str, path: tuple[Any, ...], entry: object, defaults: Mapping[str, Any]) -> str:
    """Return the section of the file that contains a value; empty if none does."""
    if _holds(entry, path):
        return key
    return f"{DEFAULTS}.{key.partition('.')[0]}" if _holds(defaults, path) else ""


def _holds(value: Any, path: tuple[Any, ...]) -> bool:
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            return isinstance(value, list)  # pydantic's paths go on with list positions and union members
    return True


def _line(key: str, finding: Any, entry: object, defaults: Mapping[str, Any]) -> str:
    path = tuple(finding["loc"])
    place = _place(key, path[:1], entry, defaults) or key if path else key
    where = ".".join([place, *map(str, path)]).strip(".")
    match finding["type"]:
        case "extra_forbidden":
            return f"{where}: unknown parameter; remove it or fix the spelling"
        case "missing":
            also = f", or add it to {DEFAULTS}.{key.partition('.')[0]}" if defaults else ""
            return f"{where}: missing; add it{also}"
        case "value_error":
            return f"{where}: {finding['ctx']['error']}"
        case _:
            message = str(finding["msg"])
            expected = message.removeprefix("Input should be ").removeprefix("a valid ").replace(" should ", " to ")
            return f"{where}: expected {expected[0].lower()}{expected[1:]}, got {finding['input']!r}"
