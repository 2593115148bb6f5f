"""The records that a format's reader yields, and their checks."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from retune.core.errors import InputError
from retune.reading.values import as_id, none_if_empty

MAX_RELEVANCE = 1000

Raw = Any
"""An unchecked value from the source; `check_record` ensures that it is text, or null where null is allowed."""


class Document(NamedTuple):
    """A text that can be retrieved.

    Attributes:
        where: File and line, for messages.
        query_id: The query whose row contains the text, if the source has no separate corpus.
    """

    doc_id: Raw
    title: Raw
    text: Raw
    where: str
    query_id: str | None = None


class Query(NamedTuple):
    """A text that retrieves.

    Attributes:
        split: The split in the source: train, dev or test; train if the source has no splits.
        prompt: Put before the text of this query.
        answer: A reference answer.
        group: Queries of one group get the same split when splitting by group; None: the query is its own group.
        topics: Pairs of a topic's kind and value, the narrowest topic first.
        example: This query with its answer, as shown as an in-context example before other queries; None: the
            query neither serves as an example nor gets any.
    """

    query_id: Raw
    text: Raw
    where: str
    split: str = "train"
    prompt: Raw = None
    answer: Raw = None
    group: str | None = None
    topics: tuple[tuple[str, str], ...] = ()
    example: Raw = None


class Judgment(NamedTuple):
    """A document's relevance for a query: above 0 relevant, 0 judged irrelevant.

    Attributes:
        score: A teacher's score for the pair, if the source has one; higher is closer.
    """

    query_id: Raw
    doc_id: Raw
    relevance: Raw
    where: str
    score: Raw = None


class Dropped(NamedTuple):
    """Records of the source that the format's rules leave out."""

    reason: str
    number: int = 1


Record = Document | Query | Judgment | Dropped


def is_blank(value: Raw) -> bool:
    """Return whether a value is null, or text of white space only."""
    return value is None or (isinstance(value, str) and not value.strip())


def tidied(record: Document | Query | Judgment) -> Document | Query | Judgment:
    """Return a record whose ids are text if they are whole numbers, and whose document has no empty title.

    A document with a title and no text gets the title as its text.
    """
    match record:
        case Document():
            title = None if is_blank(record.title) else record.title
            title, text = (None, title) if is_blank(record.text) and title else (title, record.text)
            return record._replace(doc_id=as_id(record.doc_id), title=title, text=text, query_id=as_id(record.query_id))
        case Query():
            return record._replace(query_id=as_id(record.query_id))
        case Judgment():
            return record._replace(query_id=as_id(record.query_id), doc_id=as_id(record.doc_id))


def check_same_query(known: Query, query: Query) -> None:
    """Check that two queries with one id are the same query.

    Raises:
        InputError: They differ.
    """
    if known._replace(where="") != query._replace(where=""):
        raise InputError(
            f"{query.where}: query_id: expected each id once, got {query.query_id!r:.80} again, first at {known.where}"
        )


def text_id(text: Raw) -> str:
    """Return an id for a document without one: `d_` and 16 hexadecimal digits of the text's SHA-256."""
    content = "" if text is None else str(text)  # the document is left out, and must not have the id of "None"
    return f"d_{hashlib.sha256(content.encode(errors='replace')).hexdigest()[:16]}"


def judge(
    query_id: str, texts: Sequence[Any], relevance: int, where: str, scores: Sequence[float] | None = None
) -> Iterator[Record]:
    """Yield the documents in a query's row and their judgments; ids are derived from the texts.

    Raises:
        InputError: The number of scores differs from the number of texts.
    """
    if scores is not None and len(scores) != len(texts):
        raise InputError(f"{where}: expected a score for each of {len(texts)} texts, got {len(scores)}")
    for position, text in enumerate(texts):
        doc_id = text_id(text)
        yield Document(doc_id, None, text, where, query_id)
        yield Judgment(query_id, doc_id, relevance, where, None if scores is None else scores[position])


def judge_ids(
    query_id: str,
    ids: Sequence[Any],
    texts: Sequence[Any],
    relevance: int,
    where: str,
    scores: Sequence[float] | None = None,
) -> Iterator[Record]:
    """Yield the documents in a query's row, which has their ids, and their judgments.

    Args:
        query_id: The query.
        ids: The ids of the documents.
        texts: Their texts, in the same order.
        relevance: The relevance of all of these documents.
        where: File and line, for messages.
        scores: One score per text, or None.

    Raises:
        InputError: The numbers of ids, texts and scores differ.
    """
    if len(ids) != len(texts) or (scores is not None and len(scores) != len(texts)):
        raise InputError(
            f"{where}: expected an id (and score, if any) for each of {len(texts)} texts, got {len(ids)} ids"
            + ("" if scores is None else f" and {len(scores)} scores")
        )
    for position, (doc_id, text) in enumerate(zip(ids, texts, strict=True)):
        yield Document(doc_id, None, text, where, query_id)
        yield Judgment(query_id, doc_id, relevance, where, None if scores is None else scores[position])


def titled(query_id: str | None, title: Raw, text: Raw, where: str) -> Document:
    """Return a document whose id is derived from its title, if any, and its text."""
    title = none_if_empty(title)
    return Document(text_id(text if title is None else f"{title}\n{text}"), title, text, where, query_id)


def check_record(record: Document | Query | Judgment, *, needs_text: bool = True) -> None:
    """Check a record: texts are not empty and valid in UTF-8, ids have no tabs or line ends, numbers are in range.

    Args:
        record: The record.
        needs_text: Whether a document or query without text is invalid.

    Raises:
        InputError: A field is invalid; the message names its place, what was expected and the value.
    """
    if found := fault(record if needs_text or isinstance(record, Judgment) else _filled(record)):
        raise InputError(found)
    if isinstance(record, Judgment):
        _check_numbers(record)


def _filled(record: Document | Query) -> Document | Query:
    return record._replace(text="-") if is_blank(record.text) else record


def fault(record: Document | Query | Judgment) -> str:
    """Return what is wrong with the texts and ids of a record, or an empty string if nothing is."""
    match record:
        case Document():
            fields = [("doc_id", record.doc_id, True), ("text", record.text, True), ("title", record.title, False)]
        case Query():
            fields = [("query_id", record.query_id, True), ("text", record.text, True), ("group", record.group, False)]
            fields += [("prompt", record.prompt, False), ("answer", record.answer, False)]
            fields += [("example", record.example, False)]
        case Judgment():
            fields = [("query_id", record.query_id, True), ("doc_id", record.doc_id, True)]
    for name, value, required in fields:
        if expected := _unmet_expectation(value, required=required, is_id=name.endswith("_id")):
            return f"{record.where}: {name}: expected {expected}, got {value!r:.80}"
    return ""


def _check_numbers(judgment: Judgment) -> None:
    relevance, score = judgment.relevance, judgment.score
    if type(relevance) is not int or abs(relevance) > MAX_RELEVANCE:
        raise InputError(f"{judgment.where}: relevance: expected a whole number, got {relevance!r:.80}")
    if score is not None and (type(score) not in (int, float) or not math.isfinite(score)):
        raise InputError(f"{judgment.where}: score: expected a finite number or null, got {score!r:.80}")


def _unmet_expectation(value: Any, *, required: bool, is_id: bool) -> str:
    """Return what is expected of a value, or an empty string if the value is valid."""
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        return "text or a whole number" if is_id else "text" if required else "text or null"
    if required and (not value or value.isspace()):
        return "non-empty text"
    if is_id and any(char in value for char in "\t\n\r"):
        return "an id without tabs and line ends"
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "text without lone surrogates"
    return ""
