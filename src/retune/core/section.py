"""Read and check sections of params.yaml: unknown, missing and mistyped values are errors."""

import copy
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from retune.core.errors import ParameterError
from retune.core.params_file import read_params

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

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
"""A number format; auto: bfloat16 where the hardware multiplies it fast, else float32."""

DEFAULTS = "defaults"
KIND = "backend"  # the parameter that chooses among the sections of a union


class Section(BaseModel):
    """A mapping in params.yaml.

    A field has a default only if the default means off: null, false, 0 or an empty list. Every other value is in the
    file, in the entry itself or in `defaults.<stage>`, so that the file shows what ran.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """Former names of parameters, and what to write instead."""

    OF_ONE_ENTRY: ClassVar[frozenset[str]] = frozenset()
    """Parameters that an entry must contain itself, because `defaults` may not."""

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
        merged = merge(defaults or {}, value)
        try:
            return cls.model_validate(merged, context={"is_file": True})
        except ValidationError as error:
            findings: dict[tuple[Any, ...], list[Any]] = {}  # several of one value are of the members of a union
            for finding in error.errors(include_url=False):
                findings.setdefault(_path(finding, merged), []).append(finding)
            places = _Places(key, value, defaults or {}, cls.OF_ONE_ENTRY)
            raise ParameterError([_line(places, *found) for found in findings.items()]) from None

    @model_validator(mode="before")
    @classmethod
    def _has_no_former_name(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context and isinstance(value, Mapping):
            for old in cls.RENAMED:
                if old in value:
                    raise PydanticCustomError("renamed", "{advice}", {"name": old, "advice": cls.RENAMED[old]})
        return value


def merge(defaults: Mapping[str, Any], entry: object) -> Any:
    """Complete an entry by its defaults, also in nested mappings; values of the entry take precedence.

    A mapping that names another `backend` replaces the default's, whose other values are of its own backend.
    """
    if not isinstance(entry, Mapping):
        return entry
    if KIND in defaults and entry.get(KIND, defaults[KIND]) != defaults[KIND]:
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
    """Read the parameters in a folder, the current one."""
    return read_params(stage=stage)


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
            return isinstance(value, list)
    return True


class _Places(NamedTuple):
    """Where the values of an entry stand in the file."""

    key: str
    entry: object
    defaults: Mapping[str, Any]
    of_one_entry: frozenset[str]

    def where(self, path: tuple[Any, ...]) -> str:
        """Return the full key of a value, or of the innermost mapping in the file that lacks it."""
        for length in range(len(path), 0, -1):
            if place := _place(self.key, path[:length], self.entry, self.defaults):
                return ".".join([place, *map(str, path)]).strip(".")
        return ".".join([self.key, *map(str, path)]).strip(".")

    def accepts_default(self, path: tuple[Any, ...]) -> bool:
        """Return whether `defaults.<stage>` may complete the entry by a missing value."""
        return bool(self.defaults) and path[0] not in self.of_one_entry and self.where(path).startswith(f"{self.key}.")


def _path(finding: Any, merged: Any) -> tuple[Any, ...]:
    """Return the location of a finding in the file, without pydantic's names of union members and of keys."""
    if _is_key(finding):
        return tuple(part for part in finding["loc"] if part != "[key]")
    path: list[Any] = []
    value = merged
    for number, part in enumerate(finding["loc"], start=1):
        if (isinstance(value, Mapping) and part in value) or (isinstance(value, list) and isinstance(part, int)):
            value = value[part]
            path.append(part)
        elif finding["type"] == "missing" and number == len(finding["loc"]):
            path.append(part)
    match finding["type"]:
        case "renamed":
            path.append(finding["ctx"]["name"])
        case "union_tag_invalid" | "union_tag_not_found":
            path.append(finding["ctx"]["discriminator"].strip("'"))
    return tuple(path)


def _is_key(finding: Any) -> bool:
    """Return whether the finding is about the key of a mapping instead of a value."""
    return str(finding["type"]) == "invalid_key" or tuple(finding["loc"][-1:]) == ("[key]",)


def _line(places: _Places, path: tuple[Any, ...], findings: list[Any]) -> str:
    where, finding = places.where(path), findings[0]
    if _is_key(finding):
        return f"{where}: expected a name that is text, got {finding['input']!r}; quote it"
    match finding["type"]:
        case "extra_forbidden":
            return f"{where}: unknown parameter; remove it or fix the spelling"
        case "renamed":
            return f"{where}: not a parameter any more; {finding['msg']}"
        case "missing" | "union_tag_not_found":
            also = f", or add it to {DEFAULTS}.{places.key.partition('.')[0]}" if places.accepts_default(path) else ""
            return f"{where}: missing; add it{also}"
        case "value_error":
            return f"{where}: {finding['ctx']['error']}"
        case "union_tag_invalid":
            return f"{where}: expected one of {finding['ctx']['expected_tags']}, got {finding['ctx']['tag']!r}"
        case _:
            return f"{where}: expected {' or '.join(map(_expected, findings))}, got {finding['input']!r}"


def _expected(finding: Any) -> str:
    """Return what pydantic expected, in the words of a YAML file."""
    if finding["type"] in ("dict_type", "model_type", "model_attributes_type"):
        return "a mapping"
    message = str(finding["msg"]).partition(" after validation")[0]
    expected = message.removeprefix("Input should be ").removeprefix("a valid ").replace(" should ", " to ")
    return f"{expected[0].lower()}{expected[1:]}"
