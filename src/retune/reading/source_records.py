"""The records a converter yields, and what they must hold."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from retune.core.errors import InputError
from retune.reading.values import none_if_empty

MAX_RELEVANCE = 1000

Raw = Any
"""A value as the source has it; `check_record` makes sure that it is text, or null where that is allowed."""


class Document(NamedTuple):
    """A text that can be retrieved.

    Attributes:
        where: File and line, for messages.
        query_id: The query in whose row the text stands, if it stands nowhere else.
    """

    doc_id: Raw
    title: Raw
    text: Raw
    where: str
    query_id: str | None = None


class Query(NamedTuple):
    """A text that retrieves.

    Attributes:
        split: train, dev or test, as the source has it; train where it has none.
        prompt: Put before the text, of this query alone.
        answer: A reference answer.
        group: What a cut by group keeps together; the query itself if None.
        topics: Names and values of what it is about, the narrowest first.
        example: How it reads, with its answer, before other queries; they get one too. None: no examples.
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
        score: A teacher's score of the pair, if the source has one; higher is closer.
    """

    query_id: Raw
    doc_id: Raw
    relevance: Raw
    where: str
    score: Raw = None


class Dropped(NamedTuple):
    """Records of the source left out by the format's own rules."""

    reason: str
    number: int = 1


Record = Document | Query | Judgment | Dropped


def title_and_text(row: dict[str, Any]) -> tuple[Raw, Raw]:
    """Return a row's title and text; where the text is empty, as in some BEIR sets, its title is the text."""
    title, text = none_if_empty(row.get("title")), row.get("text")
    return (None, title) if text == "" and title else (title, text)


def text_id(text: str) -> str:
    """Return an id for a document without one: `d_` and 16 hexadecimal digits of its text's SHA-256."""
    return f"d_{hashlib.sha256(str(text).encode(errors='replace')).hexdigest()[:16]}"


def judge(
    query_id: str, texts: Sequence[Any], relevance: int, where: str, scores: Sequence[float] | None = None
) -> Iterator[Record]:
    """Yield documents that stand in a query's own row, and their judgments.

    Raises:
        InputError: Scores are given and not one for each text.
    """
    if scores is not None and len(scores) != len(texts):
        raise InputError(f"{where}: expected a score for each of {len(texts)} texts, got {len(scores)}")
    for position, text in enumerate(texts):
        doc_id = text_id(text)
        yield Document(doc_id, None, text, where, query_id)
        yield Judgment(query_id, doc_id, relevance, where, None if scores is None else scores[position])


def judge_ids(
    query_id: str,
    documents: tuple[Sequence[Any], Sequence[Any]],
    relevance: int,
    where: str,
    scores: Sequence[float] | None = None,
) -> Iterator[Record]:
    """Yield documents that stand with their ids in a query's own row, and their judgments.

    Args:
        query_id: The query.
        documents: Ids, and a text for each.
        relevance: Of all.
        where: File and line, for messages.
        scores: One for each text, if there are any.

    Raises:
        InputError: Ids, texts and scores are not as many.
    """
    ids, texts = documents
    if len(ids) != len(texts) or (scores is not None and len(scores) != len(texts)):
        raise InputError(
            f"{where}: expected an id (and score, if any) for each of {len(texts)} texts, got {len(ids)} ids"
            + ("" if scores is None else f" and {len(scores)} scores")
        )
    for position, (doc_id, text) in enumerate(zip(ids, texts, strict=True)):
        yield Document(doc_id, None, text, where, query_id)
        yield Judgment(query_id, doc_id, relevance, where, None if scores is None else scores[position])


def titled(query_id: str | None, title: Raw, text: Raw, where: str) -> Document:
    """Return a document without an id that may have a title: equal texts with other titles are other documents."""
    title = none_if_empty(title)
    return Document(text_id(text if title is None else f"{title}\n{text}"), title, text, where, query_id)


def check_record(record: Document | Query | Judgment) -> None:
    """Check ids and texts: text that UTF-8 can write, not empty; ids without tabs and line ends; numbers in range.

    Raises:
        InputError: Names place, field, expectation and value.
    """
    match record:
        case Document():
            fields = [("doc_id", record.doc_id, True), ("text", record.text, True), ("title", record.title, False)]
        case Query():
            fields = [("query_id", record.query_id, True), ("text", record.text, True), ("group", record.group, False)]
            fields += [("prompt", record.prompt, False), ("answer", record.answer, False)]
            fields += [("example", record.example, False)]
        case Judgment():
            fields = [("query_id", record.query_id, True), ("doc_id", record.doc_id, True)]
            _check_numbers(record)
    for name, value, required in fields:
        if fault := _fault(value, required=required, is_id=name.endswith("_id")):
            raise InputError(f"{record.where}: {name}: expected {fault}, got {value!r:.80}")


def _check_numbers(judgment: Judgment) -> None:
    relevance, score = judgment.relevance, judgment.score
    if type(relevance) is not int or abs(relevance) > MAX_RELEVANCE:
        raise InputError(f"{judgment.where}: relevance: expected a whole number, got {relevance!r:.80}")
    if score is not None and (type(score) not in (int, float) or not math.isfinite(score)):
        raise InputError(f"{judgment.where}: score: expected a finite number or null, got {score!r:.80}")


def _fault(value: Any, *, required: bool, is_id: bool) -> str:
    """Say what was expected of a value, or nothing if it is right."""
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        return "text" if required else "text or null"
    if required and (not value or value.isspace()):
        return "non-empty text"
    if is_id and any(sign in value for sign in "\t\n\r"):
        return "an id without tabs and line ends"
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "text without lone surrogates"
    return ""
