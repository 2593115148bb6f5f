"""Which synthetic queries are left out, and why: each filter gives a reason or an empty string for every query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from retune.core.records import document_texts
from retune.datasets.statistics import SAMPLE, identify_language
from retune.params.synthesize import Filters, Synthesize
from retune.synthesis.drafts import Draft, Drafts, Rejected
from retune.text.near_duplicates import NearDuplicates, shingles
from retune.text.words import normal_form, words

if TYPE_CHECKING:
    from retune.encoding.compute import Compute
    from retune.encoding.encoder import Encoder

Reasons = Iterator[str]
BLOCK = 1024  # queries compared with all others at a time


def load_encoder(model: Path, compute: Compute) -> Encoder:
    """Load the model that encodes queries and documents for the filters."""
    from retune.encoding.encoder import Encoder

    return Encoder.load(model, compute)


def keep(
    drafts: Drafts, params: Synthesize, *, held_out: Sequence[str], load: Callable[[], Encoder]
) -> tuple[list[Draft], list[Rejected]]:
    """Apply the filters in turn, the cheap ones first; a query that one rejects does not reach the next.

    Args:
        drafts: The queries, and the documents as training shall see them.
        params: Which filters are on.
        held_out: Real dev and test queries of the source.
        load: Loads the model for `cosine_duplicate` and `round_trip`; called only if one of them is on.

    Returns:
        The queries that every filter passed, and the others with the filter's reason.
    """
    kept, rejected = list(drafts.queries), list[Rejected]()
    for find_reasons in _chosen(params.filters or Filters(), drafts.corpus, held_out, load):
        reasons = list(find_reasons(kept)) if kept else []
        rejected += [Rejected(*draft[:3], reason) for draft, reason in zip(kept, reasons, strict=True) if reason]
        kept = [draft for draft, reason in zip(kept, reasons, strict=True) if not reason]
    return kept, rejected


def _chosen(
    filters: Filters, corpus: pd.DataFrame, held_out: Sequence[str], load: Callable[[], Encoder]
) -> Iterator[Callable[[list[Draft]], Reasons]]:
    """Yield the filters that are on; that for equal queries always is."""
    yield _equal
    if filters.language:
        yield lambda drafts: _of_other_language(drafts, corpus)
    if filters.copied_words:
        yield lambda drafts: _copied(drafts, corpus, filters.copied_words or 0)
    if filters.leak:
        yield lambda drafts: _leaking(drafts, held_out, filters.leak or 0.0)
    if filters.near_duplicate:
        yield lambda drafts: _near_duplicates(drafts, filters.near_duplicate or 0.0)
    if filters.cosine_duplicate or filters.round_trip:
        encoder = load()
        if filters.cosine_duplicate:
            yield lambda drafts: _cosine_duplicates(drafts, encoder, filters.cosine_duplicate or 0.0)
        if filters.round_trip:
            yield lambda drafts: _lost(drafts, corpus, encoder, filters.round_trip or 0)


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


def _of_other_language(drafts: list[Draft], corpus: pd.DataFrame) -> Reasons:
    texts = corpus["text"][:: max(1, -(-len(corpus) // SAMPLE))]
    [(most, _)] = Counter(map(identify_language, texts)).most_common(1)
    for draft in drafts:
        language = identify_language(draft.text)
        yield "" if language == most else f"language is {language}, not {most}"


def _copied(drafts: list[Draft], corpus: pd.DataFrame, count: int) -> Reasons:
    documents = dict(zip(corpus["doc_id"], document_texts(corpus), strict=True))
    for draft in drafts:
        of_document = set(_runs(documents[draft.doc_id], count))
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


def _lost(drafts: list[Draft], corpus: pd.DataFrame, encoder: Encoder, rank: int) -> Reasons:
    """Reject queries that do not find their document: the round trip of Promptagator (Dai et al., arXiv:2209.11755)."""
    from retune.retrieval.exact import top_k

    documents = encoder.encode_documents(document_texts(corpus), ids=corpus["doc_id"].tolist())
    queries = encoder.encode_queries([draft.text for draft in drafts], [None] * len(drafts))
    _, found = top_k(queries, documents, rank, device=encoder.device)
    places = pd.Series(range(len(corpus)), index=corpus["doc_id"])
    for draft, row in zip(drafts, found, strict=True):
        yield "" if places[draft.doc_id] in row else f"its document is not among the best {rank}"


def _shingles(text: str) -> frozenset[int]:
    return shingles(words(normal_form(text)))
