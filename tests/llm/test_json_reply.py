"""A reply is one JSON object of the schema, perhaps with text around it."""

from typing import Any

import pytest

from retune.llm.json_reply import ReplyError, check_schema, parse, violation

ANY: dict[str, Any] = {"type": "object"}
QUERY = {
    "type": "object",
    "properties": {
        "query": {
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
            "additionalProperties": False,
        },
        "score": {"type": "integer", "minimum": 1, "maximum": 10},
    },
    "required": ["query"],
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
     "[" * 100_000, '{"a": ' + "[" * 991 + "]" * 991 + "}", '{"a": ' + "9" * 5000 + "}"],
    ids=["empty", "word", "cut", "two", "name twice", "NaN", "half a character", "Python", "nested", "deep", "long number"],
)  # fmt: skip
def test_other_text_is_not_json(text: str) -> None:
    with pytest.raises(ReplyError, match="^not JSON: this is not one JSON object"):
        parse(text, ANY)


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        ({"query": {"text": "what"}}, ""),
        ({"query": {"text": ""}, "score": 10}, ""),
        ({}, "reply: expected 'query', found none"),
        ({"query": "what"}, 'reply.query: expected object, got "what"'),
        ({"query": ["what"]}, 'reply.query: expected object, got ["what"]'),
        ({"query": {"text": 1}}, "reply.query.text: expected string, got 1"),
        ({"query": {"text": "what", "n": 1}}, "reply.query: expected only text, got 'n'"),
        ({"query": {"text": "what"}, "score": True}, "reply.score: expected integer, got true"),
        ({"query": {"text": "what"}, "score": 1.0}, "reply.score: expected integer, got 1.0"),
        ({"query": {"text": "what"}, "score": None}, "reply.score: expected integer, got null"),
        ({"query": {"text": "what"}, "score": 0}, "reply.score: expected minimum 1, got 0"),
        ({"query": {"text": "what"}, "score": 11}, "reply.score: expected maximum 10, got 11"),
        ([], "reply: expected object, got []"),
        (False, "reply: expected object, got false"),
    ],
)
def test_violation_is_named_with_its_place(value: object, finding: str) -> None:
    assert violation(value, QUERY) == finding


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text"},
        {},
        {"type": ["string", "integer"]},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}},
        {"type": "object", "anyOf": []},
    ],
)
def test_schema_that_would_be_passed_over_is_refused(schema: dict) -> None:
    check_schema(QUERY)
    with pytest.raises(ValueError, match="^schema: expected"):
        check_schema(schema)
