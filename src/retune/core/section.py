"""Read one section of params.yaml and check it: unknown, missing and mistyped values are errors."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Self

import dvc.api
from dvc.exceptions import DvcException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retune.core.errors import InputError

NAME = r"^[a-z0-9_]+$"
Name = Annotated[str, Field(pattern=NAME)]
"""A name of an entry; it becomes part of stage names and paths."""

RawPath = Annotated[str, Field(pattern=r"^[\w./][\w./+-]*$")]
"""A file or folder; no spaces, quotes or shell signs."""

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
"""A fraction of a whole, below 1."""


class Section(BaseModel):
    """A mapping in params.yaml. Fields have no defaults: the file shows what ran."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @classmethod
    def read(cls, key: str) -> Self:
        """Return the section at a dotted key such as `mine.eedi`.

        Raises:
            InputError: The key is absent or a value is wrong; one line per finding.
        """
        return cls.parse(key, read_value(key))

    @classmethod
    def read_entries(cls, key: str) -> dict[str, Self]:
        """Return every entry of the section at `key`, by name."""
        return {name: cls.parse(f"{key}.{name}", value) for name, value in read_value(key).items()}

    @classmethod
    def parse(cls, key: str, value: object) -> Self:
        """Check a value read from `key`; the same errors as `read`."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            lines = [_line(key, finding) for finding in error.errors(include_url=False)]
            raise InputError("\n".join(lines)) from None


def read_value(key: str) -> Any:
    """Return what params.yaml holds at a dotted key, as DVC understands it.

    Inside a DVC stage only the stage's declared parameters exist, so an undeclared read fails.
    """
    value: Any = read_all()
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise InputError(
                f"params.yaml: {key}: expected an entry, found none; add it, or declare it in dvc.yaml's params"
            )
        value = value[part]
    return value


def read_all() -> dict[str, Any]:
    """Return every parameter the running stage declares, or all of params.yaml outside a stage."""
    stage = os.environ.get("DVC_STAGE")
    return read_file(None, stage)


def read_file(path: str | None, stage: str | None = None) -> dict[str, Any]:
    """Return the parameters of a file (None: params.yaml), or those of it that a stage declares."""
    try:
        return dict(dvc.api.params_show(*([path] if path else []), stages=stage))
    except DvcException as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise InputError(f"{path or 'params.yaml'}: expected YAML that DVC can read, got: {reason}") from None


def _line(key: str, finding: Any) -> str:
    where = ".".join([key, *(str(part) for part in finding["loc"])]).strip(".")
    match finding["type"]:
        case "extra_forbidden":
            return f"params.yaml: {where}: unknown parameter; remove it or mend its spelling"
        case "missing":
            return f"params.yaml: {where}: missing; add it"
        case "value_error":
            return f"params.yaml: {where}: {finding['ctx']['error']}"
        case _:
            told = str(finding["msg"])
            expected = told.removeprefix("Input should be ").removeprefix("a valid ").replace(" should ", " to ")
            return f"params.yaml: {where}: expected {expected[0].lower()}{expected[1:]}, got {finding['input']!r}"
