"""Which synthetic queries are left out, and why: each filter gives a reason or an empty string for every query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from retune.core.records import document_texts
from retune.core.words import count_words, normal_form, words
from retune.params.synthesize import Filters
from retune.synthesis.drafts import Draft, Drafts, Rejected
from retune.text.language import could_be, identify_language
from retune.text.near_duplicates import NearDuplicates, shingles

if TYPE_CHECKING:
    from retune.encoding.encoder import Encoder

Reasons = Iterator[str]
Find = Callable[[list[Draft], Any], Reasons]
BLOCK = 1024  # queries compared with all others at a time


class Aids(NamedTuple):
    """What filters need besides the queries and their documents.

    Attributes:
        held_out: Real dev and test queries of the source.
        language: Returns the language of most documents, guessed only if a filter asks for it.
        load: Loads the model that compares vectors; called only if a filter does.
        find: Returns the positions of so many documents of a corpus, the best for each query, (queries, documents).
        judge: Returns a language model's score of each query for its document, None where it gave none.
    """

    held_out: Sequence[str]
    language: Callable[[], str]
    load: Callable[[], Encoder]
    find: Callable[[Sequence[str], pd.DataFrame, int], np.ndarray]
    judge: Callable[[Sequence[Draft]], Sequence[int | None]]


def keep(drafts: Drafts, filters: Filters, aids: Aids) -> tuple[list[Draft], list[Rejected]]:
    """Apply the filters that are on in turn, the cheap ones first; a query that one rejects does not reach the next.

    Returns:
        The queries that every filter passed, and the others with the filter's reason.
    """
    kept, rejected = list(drafts.queries), list[Rejected]()
    for find_reasons, value in _available(filters, drafts.corpus, aids):
        reasons = list(find_reasons(kept, value)) if kept and value else [""] * len(kept)
        judged = list(zip(kept, reasons, strict=True))
        rejected += [Rejected(draft.doc_id, draft.kind, draft.text, reason) for draft, reason in judged if reason]
        kept = [draft for draft, reason in judged if not reason]
    return kept, rejected


def _available(filters: Filters, corpus: pd.DataFrame, aids: Aids) -> list[tuple[Find, Any]]:
    """Return each filter and its parameter; the filter for equal queries is always on, and one without value is off."""
    return [
        (lambda drafts, _: _equal(drafts), True),
        (_too_short, filters.min_words),
        (_too_long, filters.max_words),
        (lambda drafts, _: _of_other_language(drafts, aids.language()), filters.language),
        (lambda drafts, count: _copied(drafts, corpus, count), filters.copied_words),
        (lambda drafts, threshold: _leaking(drafts, aids.held_out, threshold), filters.leak),
        (_near_duplicates, filters.near_duplicate),
        (lambda drafts, threshold: _cosine_duplicates(drafts, aids.load(), threshold), filters.cosine_duplicate),
        (lambda drafts, rank: _lost(drafts, corpus, aids.find, rank), filters.round_trip),
        (lambda drafts, lowest: _below(aids.judge(drafts), lowest), filters.judge),
    ]


def _too_short(drafts: list[Draft], least: int) -> Reasons:
    for draft in drafts:
        yield f"shorter than {least} words" if count_words(draft.text) < least else ""


def _too_long(drafts: list[Draft], most: int) -> Reasons:
    for draft in drafts:
        yield f"longer than {most} words" if count_words(draft.text) > most else ""


def _below(scores: Sequence[int | None], lowest: int) -> Reasons:
    for score in scores:
        yield "not judged" if score is None else f"judged below {lowest}" if score < lowest else ""


def _equal(drafts: list[Draft]) -> Reasons:
    """Reject queries of several documents, as none of these is the one answer, and repetitions within a document."""
    owners: dict[str, set[str]] = {}
    for draft in drafts:
        owners.setdefault(normal_form(draft.text), set()).add(draft.doc_id)
    seen: set[str] = set()
    for draft in drafts:
        normal = normal_form(draft.text)
        yield "query of several documents" if len(owners[normal]) > 1 else "repeated query" if normal in seen else ""
        seen.add(normal)


def _of_other_language(drafts: list[Draft], most: str) -> Reasons:
    for draft in drafts:
        yield "" if could_be(draft.text, most) else f"language is {identify_language(draft.text)}, not {most}"


def _copied(drafts: list[Draft], corpus: pd.DataFrame, count: int) -> Reasons:
    documents = dict(zip(corpus["doc_id"], document_texts(corpus), strict=True))
    for draft in drafts:
        of_document = {run for doc_id in draft.doc_ids for run in _runs(documents[doc_id], count)}
        is_copied = any(run in of_document for run in _runs(draft.text, count))
        yield f"{count} words in a row from its document" if is_copied else ""


def _runs(text: str, count: int) -> Iterator[tuple[str, ...]]:
    """Yield every run of so many words, without symbols."""
    found = [word for word in words(normal_form(text)) if word[0].isalnum()]
    return zip(*(islice(found, start, None) for start in range(count)), strict=False)


def _leaking(drafts: list[Draft], held_out: Sequence[str], threshold: float) -> Reasons:
    index = NearDuplicates([_shingles(text) for text in held_out], threshold)
    for draft in drafts:
        is_leak = next(index.find(_shingles(draft.text)), None) is not None
        yield "near-duplicate of a real dev or test query" if is_leak else ""


def _near_duplicates(drafts: list[Draft], threshold: float) -> Reasons:
    """Reject queries that are near-duplicates of an earlier query, unless that was rejected itself."""
    of_drafts = [_shingles(draft.text) for draft in drafts]
    index = NearDuplicates(of_drafts, threshold)
    rejected: set[int] = set()
    for number, of_draft in enumerate(of_drafts):
        if any(other < number and other not in rejected for other in index.find(of_draft)):
            rejected.add(number)
        yield "near-duplicate of another query" if number in rejected else ""


def _cosine_duplicates(drafts: list[Draft], encoder: Encoder, threshold: float) -> Reasons:
    """Reject queries whose vector is this close to that of an earlier query, unless that was rejected itself."""
    vectors = encoder.encode_queries([draft.text for draft in drafts], [None] * len(drafts))
    is_kept = np.ones(len(drafts), dtype=bool)
    for start in range(0, len(drafts), BLOCK):
        close = vectors[start : start + BLOCK] @ vectors[: start + BLOCK].T >= threshold
        for row, others in enumerate(close, start):
            is_kept[row] = not (others[:row] & is_kept[:row]).any()
            yield "" if is_kept[row] else "cosine near that of another query"


def _lost(drafts: list[Draft], corpus: pd.DataFrame, find: Any, rank: int) -> Reasons:
    """Reject queries that do not find their document: the round trip of Promptagator (Dai et al., arXiv:2209.11755)."""
    found = find([draft.text for draft in drafts], corpus, rank)
    places = pd.Series(range(len(corpus)), index=corpus["doc_id"])
    for draft, row in zip(drafts, found, strict=True):
        is_found = all(places[doc_id] in row for doc_id in draft.doc_ids)
        yield "" if is_found else f"its document is not among the best {rank}"


def _shingles(text: str) -> frozenset[int]:
    return shingles(words(normal_form(text)))
