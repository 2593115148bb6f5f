"""A reply is one JSON object of the schema, perhaps with text around it."""

from typing import Any

import pytest

from retune.llm.json_reply import ReplyError, check_schema, parse, violation

ANY: dict[str, Any] = {"type": "object"}
QUERIES = {
    "type": "object",
    "properties": {
        "queries": {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "items": {
                "type": "object",
                "properties": {"text": {"type": "string", "minLength": 2}, "kind": {"enum": ["title", "claim"]}},
                "required": ["text"],
                "additionalProperties": False,
            },
        },
        "score": {"type": ["integer", "null"], "minimum": 0, "maximum": 10},
    },
    "required": ["queries"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        ' \n{"a": 1}\n',
        '```json\n{"a": 1}\n```',
        'Here it is: {"a": 1} I hope it helps.',
        '<think>Maybe {"b": 2}?</think>\n{"a": 1}',
    ],
)
def test_text_around_an_object_is_dropped(text: str) -> None:
    assert parse(text, ANY) == {"a": 1}


@pytest.mark.parametrize(
    "text",
    ["", "none", '{"a": 1', '{"a": 1} {"a": 2}', '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": "\\ud800"}', "{'a': 1}",
     "[" * 100_000, '{"a": ' + "9" * 5000 + "}"],
    ids=["empty", "word", "cut", "two", "name twice", "NaN", "half a character", "Python", "nested", "long number"],
)  # fmt: skip
def test_other_text_is_not_json(text: str) -> None:
    with pytest.raises(ReplyError, match="^not JSON: this is not one JSON object"):
        parse(text, ANY)


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        ({"queries": [{"text": "what"}]}, ""),
        ({"queries": [{"text": "what", "kind": "claim"}], "score": 10}, ""),
        ({"queries": [{"text": "what"}], "score": None}, ""),
        ({}, "reply: expected 'queries', found none"),
        ({"queries": []}, "reply.queries: expected minItems 1, got 0"),
        ({"queries": [{"text": "what"}] * 3}, "reply.queries: expected maxItems 2, got 3"),
        ({"queries": ["what"]}, 'reply.queries[0]: expected object, got "what"'),
        ({"queries": [{"text": "w"}]}, "reply.queries[0].text: expected minLength 2, got 1"),
        ({"queries": [{"text": "what", "kind": "x"}]}, 'reply.queries[0].kind: expected one of ["title", "claim"], got "x"'),
        ({"queries": [{"text": "what", "n": 1}]}, "reply.queries[0]: expected only text, kind, got 'n'"),
        ({"queries": [{"text": "what"}], "score": True}, "reply.score: expected ['integer', 'null'], got true"),
        ({"queries": [{"text": "what"}], "score": 1.0}, "reply.score: expected ['integer', 'null'], got 1.0"),
        ({"queries": [{"text": "what"}], "score": 11}, "reply.score: expected maximum 10, got 11.0"),
        ([], "reply: expected object, got []"),
    ],
)  # fmt: skip
def test_violation_is_named_with_its_place(value: object, finding: str) -> None:
    assert violation(value, QUERIES) == finding


def test_true_is_not_one_of_numbers() -> None:
    assert violation(True, {"enum": [1, 2]}) == "reply: expected one of [1, 2], got true"


@pytest.mark.parametrize(
    "schema", [{"type": "text"}, {"properties": {"a": {"pattern": "x"}}}, {"items": {"anyOf": []}}]
)
def test_schema_that_would_be_passed_over_is_refused(schema: dict) -> None:
    check_schema(QUERIES)
    with pytest.raises(ValueError, match="^schema: expected keywords of"):
        check_schema(schema)
