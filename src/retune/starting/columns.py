"""Formats that the columns of a table give away."""

import re
from collections.abc import Sequence
from typing import Any

from retune.core.errors import InputError
from retune.reading.column_names import check_texts_by_position, plain, role_of
from retune.reading.raw_files import split_named
from retune.starting.found import BY_HAND, Found

INFGRAD = {"Query", "Positive Document", "Hard Negative Document"}
QUERY = re.compile(r"问题|查询|问句|query_text|user_query|search_query|frage|pregunta")
DOCUMENT = re.compile(
    r"contexts?|text|content|contents|body|chunk|article|abstract|section|relevant_(docs?|documents?|passages?)|"
    r"文档|文本|段落|正文|相关.+"
)
ANSWER = re.compile(r"(answer|response|reply|completion)s?(_text)?|chosen|答案.*|回答|antwort|respuesta")
BINARY = {"0", "1", "0.0", "1.0"}
NAMES = "query or question, positive, document, passage, context or answer"


def of_rows(rows: Sequence[dict[str, Any]], where: str, *, is_json_lines: bool) -> Found | None:
    """Return the format of a table from its first rows; None if its columns are no queries and documents.

    Raises:
        InputError: Several columns may be the query or the document, or the labels leave open what is relevant.
    """
    first = rows[0]
    if not first:
        return None
    if first.keys() >= INFGRAD:
        return Found("infgrad", "its rows have Query, Positive Document and Hard Negative Document")
    if {"query", "positive_passages"} <= first.keys():
        return Found("mldr", "its rows have query and positive_passages", {"negatives": True})
    if is_json_lines and {"query", "pos"} <= first.keys():
        return Found("flagembedding", f"its rows have {', '.join(first)}")
    if next(iter(first)) == "anchor" and _is_ordered(first, where):
        params = {"relevant_from": 1} if _labels(rows, where) else {}
        return Found("sentence_transformers", f"its columns are {', '.join(first)}", params)
    return _table(rows, where)


def _is_ordered(row: dict[str, Any], where: str) -> bool:
    """Return whether the columns are a query, a positive and negatives, in this order."""
    try:
        check_texts_by_position([name for name in row if role_of(name) != "label"], where)
    except InputError:
        return False
    return len(row) > 1


def _table(rows: Sequence[dict[str, Any]], where: str) -> Found | None:
    """Return the parameters of format table, or of open_retrievals if documents are objects."""
    names = list(rows[0])
    queries = [name for name in names if role_of(name) == "query" or QUERY.fullmatch(plain(name))]
    answers = [name for name in names if ANSWER.fullmatch(plain(name)) and name not in queries]
    documents = [name for name in names if _is_document(name) and name not in queries + answers]
    positives = documents or answers
    if not queries or not positives:
        return None
    for kind, found in (("queries", queries), ("documents", positives)):
        if len(found) > 1:
            raise InputError(f"{where}: expected one column of {kind}, found {', '.join(found)}; {BY_HAND}")
    negatives = [name for name in names if role_of(name) == "negative"]
    reason = f"it has the columns {queries[0]} (the query) and {positives[0]} (the document)"
    if _holds_objects(rows, positives[0]):
        keys = {"query_key": queries[0], "positive_key": positives[0], "negative_key": next(iter(negatives), None)}
        return Found("open_retrievals", reason, _given(keys))
    label = _labels(rows, where)
    params = {
        "query": queries[0],
        "positive": positives[0],
        "negatives": negatives,
        "answer": answers[0] if documents and answers else None,
        "score": label,
        "relevant_from": 1 if label else None,
        "split": "split" if _has_splits(rows) else None,
    }
    return Found("table", reason, _given(params))


def _given(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value}


def _has_splits(rows: Sequence[dict[str, Any]]) -> bool:
    return all(split_named(row.get("split")) for row in rows)


def _is_document(name: str) -> bool:
    return role_of(name) == "positive" or DOCUMENT.fullmatch(plain(name)) is not None


def _holds_objects(rows: Sequence[dict[str, Any]], column: str) -> bool:
    """Return whether a column has lists of objects with a title and a text."""
    values = [row[column] for row in rows if row.get(column)]
    return bool(values) and isinstance(values[0], list) and isinstance(values[0][0], dict)


def _labels(rows: Sequence[dict[str, Any]], where: str) -> str:
    """Return the column of labels 0 and 1; empty if there is none.

    Raises:
        InputError: The labels are others, so that only the user can say which of them mean relevant.
    """
    names = [name for name in rows[0] if role_of(name) == "label"]
    if not names or isinstance(rows[0][names[0]], list):
        return ""
    values = {str(row.get(names[0])) for row in rows}
    if not values <= BINARY:
        raise InputError(
            f"{where}: expected labels 0 and 1 in {names[0]}, got {min(values - BINARY)!r:.40}; {BY_HAND} and set "
            "relevant_from to the lowest label that means relevant"
        )
    return names[0]
