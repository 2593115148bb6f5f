"""Is the first line of a file without a fixed header a header? Known ones are skipped, doubtful ones are refused."""

import re
from collections.abc import Sequence
from typing import Literal

from retune.core.errors import InputError
from retune.reading.column_names import plain

SHOWN = 8  # names in a message

Kind = Literal["query id", "document id", "id", "title", "text", "iteration", "relevance"]


def _names(text: str) -> dict[str, None]:
    """Return the names in a text, as keys: an ordered set."""
    return dict.fromkeys(text.split())


QUERY_IDS = _names(
    """query_id qid queryid q_id query_no query topic topic_id topicid topic_no question_id questionid question
    id _id"""
)
DOCUMENT_IDS = _names(
    """doc_id docid corpus_id corpusid pid document_id documentid document doc docno doc_no did cid passage_id passageid
    passage p_id d_id product_id candidate_id item_id id _id"""
)
NAMES: dict[Kind, dict[str, None]] = {
    "query id": QUERY_IDS,
    "document id": DOCUMENT_IDS,
    "id": _names("id _id key number") | QUERY_IDS | DOCUMENT_IDS,
    "title": _names("title doc_title document_title headline heading subject name"),
    "text": _names(
        """text query query_text question question_text contents content body document document_text doc doc_text
        passage passage_text title sentence paragraph topic description querytext queries q search_query keywords"""
    ),
    "iteration": _names("iteration iter q0 _ 0 unused dummy"),
    "relevance": _names("score relevance rel label grade judgment judgement relevancy relevance_score gain rating"),
}
"""Names of columns, as `plain` writes them, by what the column contains."""

WORDS = {
    word for names in NAMES.values() for name in names for word in name.split("_") if len(word) > 1 and word.isalpha()
}
WORDS |= {"no", "nr", "num", "number", "idx", "index", "name", "rank", "url", "system", "tag", "lang", "str"}


def matches(fields: Sequence[str], kinds: Sequence[Kind]) -> bool:
    """Return whether fields are the names of columns of these kinds, in this order."""
    return len(fields) == len(kinds) and all(
        plain(field) in NAMES[kind] for field, kind in zip(fields, kinds, strict=True)
    )


def is_header(fields: Sequence[str], kinds: Sequence[Kind], following: Sequence[str], where: str) -> bool:
    """Return whether the first line of a file is its header.

    Args:
        fields: The fields of the first line.
        kinds: What the columns contain, in their order.
        following: The fields of the next line; empty if there is none.
        where: File and line, for messages.

    Raises:
        InputError: The line looks like a header, but a name is not known, or the columns are in another order.
    """
    if matches(fields, kinds):
        return True
    if _looks_like_names(fields, following):
        known = "; ".join(f"{kind}: {', '.join(list(NAMES[kind])[:SHOWN])}" for kind in dict.fromkeys(kinds))
        found = "<tab>".join(fields)
        raise InputError(
            f"{where}: expected a record or a header such as {example(kinds)}, got {found!r:.80}; "
            f"rename or reorder the columns, or put this header above a record (known names: {known})"
        )
    return False


def example(kinds: Sequence[Kind]) -> str:
    """Return a header for columns of these kinds."""
    return "<tab>".join(kind.replace(" ", "_").replace("document_id", "doc_id") for kind in kinds)


def _looks_like_names(fields: Sequence[str], following: Sequence[str]) -> bool:
    """Return whether fields are names of columns rather than a record.

    They are if the first is made of words that names of columns contain, or if all are single words without digits and
    one is such a name, or the next line begins with an id that has digits.
    """
    names = [plain(field) for field in fields]
    is_known = [bool(name) and all(word in WORDS for word in name.split("_")) for name in names]
    if names[0] in ("", "unnamed:_0"):  # as pandas writes its index
        return any(is_known[1:])
    is_word = all(re.fullmatch(r"[^\W\d]+", name) for name in names)
    return is_known[0] or (is_word and (any(is_known) or any(char.isdigit() for char in "".join(following[:1]))))
