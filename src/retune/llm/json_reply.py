"""Read the JSON object in a reply, and check it against its schema.

Reading is strict: one object, no value that JSON lacks, no name twice. One repair is made: text around the object, such
as a code fence or a model's thoughts, is dropped.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

NOT_JSON = "not JSON"
WRONG_SCHEMA = "wrong schema"
THOUGHTS = re.compile(r"^.*</think>", flags=re.DOTALL)
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
LIMITS: dict[str, tuple[type, Callable[[Any], Any], int]] = {  # of which type, of what, and whether at least or at most
    "minItems": (list, len, 1),
    "maxItems": (list, len, -1),
    "minLength": (str, len, 1),
    "maxLength": (str, len, -1),
    "minimum": (object, float, 1),
    "maximum": (object, float, -1),
}
KNOWN = {"type", "enum", "properties", "required", "additionalProperties", "items", "title", "description", *LIMITS}


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
    if finding := violation(value, schema) or ("" if isinstance(value, dict) else "expected an object"):
        raise ReplyError(WRONG_SCHEMA, finding)
    return dict(value)


def check_schema(schema: Mapping[str, Any]) -> None:
    """Check that nothing in a schema would be passed over.

    Raises:
        ValueError: The schema has an unknown keyword or type.
    """
    unknown = set(schema) - KNOWN
    unknown |= set(_types(schema)) - set(TYPES)
    if unknown:
        raise ValueError(
            f"schema: expected keywords of {sorted(KNOWN)}, types of {sorted(TYPES)}, got {sorted(unknown)}"
        )
    for inner in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        check_schema(inner)


def violation(value: Any, schema: Mapping[str, Any], place: str = "reply") -> str:
    """Return where a value breaks a schema, and how; empty if the schema allows it."""
    if "type" in schema and not _is_of_type(value, _types(schema)):
        return f"{place}: expected {schema['type']}, got {json.dumps(value)[:100]}"
    if "enum" in schema and not any(type(value) is type(one) and value == one for one in schema["enum"]):
        return f"{place}: expected one of {json.dumps(schema['enum'])}, got {json.dumps(value)[:100]}"
    if isinstance(value, dict):
        return _of_object(value, schema, place)
    if isinstance(value, list):
        return _of_limits(value, schema, place) or _of_items(value, schema, place)
    return _of_limits(value, schema, place)


def _types(schema: Mapping[str, Any]) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _is_of_type(value: Any, names: list[str]) -> bool:
    if isinstance(value, bool):  # which Python takes for an integer
        return "boolean" in names
    return any(isinstance(value, TYPES[name]) for name in names)


def _of_object(value: dict[str, Any], schema: Mapping[str, Any], place: str) -> str:
    properties = schema.get("properties", {})
    if missing := [name for name in schema.get("required", ()) if name not in value]:
        return f"{place}: expected {missing[0]!r}, found none"
    if schema.get("additionalProperties") is False and (others := sorted(set(value) - set(properties))):
        return f"{place}: expected only {', '.join(properties)}, got {others[0]!r}"
    findings = (violation(value[name], properties[name], f"{place}.{name}") for name in properties if name in value)
    return next(filter(None, findings), "")


def _of_items(value: list[Any], schema: Mapping[str, Any], place: str) -> str:
    findings = (violation(item, schema.get("items", {}), f"{place}[{row}]") for row, item in enumerate(value))
    return next(filter(None, findings), "")


def _of_limits(value: Any, schema: Mapping[str, Any], place: str) -> str:
    for keyword, (kind, size, sign) in LIMITS.items():
        is_limited = isinstance(value, kind) and (kind is not object or _is_of_type(value, ["number"]))
        if keyword in schema and is_limited and sign * (size(value) - schema[keyword]) < 0:
            return f"{place}: expected {keyword} {schema[keyword]}, got {size(value)}"
    return ""


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
    except RecursionError:
        raise ValueError("too deeply nested") from None
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a character is a ValueError
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a value of JSON")


def _without_repeated_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(mapping := dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return mapping
