"""Read the JSON object in a reply, and check it against its schema.

Reading is strict: one object, no value that JSON lacks, no name twice. One repair is made: text around the object, such
as a code fence or a model's thoughts, is dropped.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

NOT_JSON = "not JSON"
WRONG_SCHEMA = "wrong schema"
THOUGHTS = re.compile(r"^.*</think>", flags=re.DOTALL)
TYPES = {"object": dict, "string": str, "integer": int}
KNOWN = {"type", "properties", "required", "additionalProperties", "minimum", "maximum"}


class ReplyError(Exception):
    """A text that is no object of the schema.

    Attributes:
        problem: `not JSON` or `wrong schema`.
        detail: Where and why, for the model that is asked once more.
    """

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(f"{problem}: {detail}")
        self.problem = problem
        self.detail = detail


def object_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of an object that has all of the properties and no other."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def parse(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object in a text.

    Raises:
        ReplyError: There is none, or the schema does not allow it.
    """
    try:
        value = _loads(text)
    except ValueError:
        value = _repaired(text)
    if finding := violation(value, schema):
        raise ReplyError(WRONG_SCHEMA, finding)
    return dict(value)


def check_schema(schema: Mapping[str, Any]) -> None:
    """Check that nothing in a schema would be passed over.

    Raises:
        ValueError: The schema has an unknown keyword or type.
    """
    unknown = set(schema) - KNOWN
    if schema.get("type") not in [*TYPES]:
        unknown.add(f"type {schema.get('type')}")
    if unknown:
        raise ValueError(f"schema: expected {sorted(KNOWN)} with a type of {sorted(TYPES)}, got {sorted(unknown)}")
    for inner in schema.get("properties", {}).values():
        check_schema(inner)


def violation(value: Any, schema: Mapping[str, Any], place: str = "reply") -> str:
    """Return where a value breaks a schema, and how; empty if the schema allows it."""
    if not isinstance(value, TYPES[schema["type"]]) or isinstance(value, bool):  # which Python takes for an integer
        return f"{place}: expected {schema['type']}, got {json.dumps(value)[:100]}"
    if isinstance(value, dict):
        return _of_object(value, schema, place)
    if value < schema.get("minimum", value):
        return f"{place}: expected minimum {schema['minimum']}, got {value}"
    if value > schema.get("maximum", value):
        return f"{place}: expected maximum {schema['maximum']}, got {value}"
    return ""


def _of_object(value: dict[str, Any], schema: Mapping[str, Any], place: str) -> str:
    properties = schema.get("properties", {})
    if missing := [name for name in schema.get("required", ()) if name not in value]:
        return f"{place}: expected {missing[0]!r}, found none"
    if schema.get("additionalProperties") is False and (others := sorted(set(value) - set(properties))):
        return f"{place}: expected only {', '.join(properties)}, got {others[0]!r}"
    findings = (violation(value[name], properties[name], f"{place}.{name}") for name in properties if name in value)
    return next(filter(None, findings), "")


def _repaired(text: str) -> Any:
    inner = THOUGHTS.sub("", text)
    start, end = inner.find("{"), inner.rfind("}")
    try:
        return _loads(inner[start : end + 1] if start >= 0 else inner)
    except ValueError as error:
        raise ReplyError(NOT_JSON, f"this is not one JSON object: {error}") from None


def _loads(text: str) -> Any:
    """Return the value of a JSON text; everything that is no such text is a ValueError."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_repeated_names)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a character is a ValueError
    except RecursionError:
        raise ValueError("too deeply nested") from None
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a value of JSON")


def _without_repeated_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(mapping := dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return mapping
