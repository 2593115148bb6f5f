"""Find train queries that leak dev or test queries."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from retune.core.words import normal_form, words
from retune.text.near_duplicates import NearDuplicates, jaccard, shingles

MAX_PAIRS = 10  # per train query
LEAK_COLUMNS = ["kind", "train_query_id", "query_id", "split", "queries", "similarity", "train_text", "text"]


class _Prepared(NamedTuple):
    """A query, prepared for comparison."""

    query_id: str
    split: str
    text: str
    normal: str  # the normal form of the text
    tokens: tuple[str, ...]  # words and symbols
    shingles: frozenset[int]  # hashes of the tokens and of pairs of neighbouring tokens


def find_leaks(queries: pd.DataFrame, *, near_duplicate: float, min_words: int) -> pd.DataFrame:
    """Return the pairs of a train query and a dev or test query that it leaks.

    The kind of a pair is the first that applies of

    - `exact`: the texts are equal, ignoring case, white space, invisible characters and compatible forms of Unicode;
    - `contains`: the train query contains the words of the dev or test query, in a row;
    - `near_duplicate`: the Jaccard similarity of their words and pairs of neighbouring words reaches the threshold.

    Symbols such as + count as words, and so does each character of a script without spaces. Equal dev or test queries
    are listed once.

    Args:
        queries: `query_id`, `text` and `split` (train, dev or test).
        near_duplicate: The lowest Jaccard similarity of near-duplicates, in (0, 1].
        min_words: Shorter dev and test queries are not looked for inside train queries.

    Returns:
        `kind`, `train_query_id`, `query_id` (the first of equal queries), `split`, `queries` (number of equal
        queries), `similarity` (Jaccard), `train_text`, `text`; in the order of the train queries, at most ten pairs
        per train query.
    """
    is_train = queries["split"] == "train"
    held_out = [_prepare(*row) for row in _rows(queries[~is_train])]
    repeats = Counter((query.split, query.normal) for query in held_out)
    unique = list({(query.split, query.normal): query for query in reversed(held_out)}.values())[::-1]
    train = [_prepare(*row) for row in _rows(queries[is_train])] if unique else []
    index = _HeldOut(unique, train, near_duplicate, min_words)
    rows = [
        {
            "kind": kind,
            "train_query_id": query.query_id,
            "query_id": other.query_id,
            "split": other.split,
            "queries": repeats[other.split, other.normal],
            "similarity": round(jaccard(query.shingles, other.shingles), 5),
            "train_text": query.text,
            "text": other.text,
        }
        for query in train
        for other, kind in index.find(query)
    ]
    return pd.DataFrame(rows, columns=LEAK_COLUMNS)


class _HeldOut:
    """The distinct dev and test queries, indexed for each kind of leak."""

    def __init__(self, queries: list[_Prepared], train: list[_Prepared], near_duplicate: float, min_words: int) -> None:
        self._queries, self._min_words = queries, min_words
        self._exact: dict[str, list[int]] = defaultdict(list)
        for number, query in enumerate(queries):
            self._exact[query.normal].append(number)
        self._stripped = [_strip_marks(query.tokens) for query in queries]
        self._by_window = self._index_windows(train)
        self._near = NearDuplicates([query.shingles for query in queries], near_duplicate)

    def find(self, query: _Prepared) -> Iterator[tuple[_Prepared, str]]:
        """Yield the held-out queries that a train query leaks, and the kinds of leak; at most `MAX_PAIRS`."""
        found: set[int] = set()
        for kind, numbers in (
            ("exact", iter(self._exact.get(query.normal, ()))),
            ("contains", self._contained(query)),
            ("near_duplicate", self._near.find(query.shingles)),
        ):
            for number in numbers:
                if len(found) == MAX_PAIRS:
                    return
                if number not in found:
                    found.add(number)
                    yield self._queries[number], kind

    def _index_windows(self, train: list[_Prepared]) -> dict[tuple[str, ...], list[tuple[int, int]]]:
        """Map one window of `min_words` words per held-out query, its rarest in train, to the query and the offset."""
        windows = {window for tokens in self._stripped for window in _windows(tokens, self._min_words)}
        counts = Counter(
            window for query in train for window in _windows(query.tokens, self._min_words) if window in windows
        )
        index: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
        for number, tokens in enumerate(self._stripped):
            if candidates := list(_windows(tokens, self._min_words)):
                offset = min(range(len(candidates)), key=lambda start: counts[candidates[start]])
                index[candidates[offset]].append((number, offset))
        return index

    def _contained(self, query: _Prepared) -> Iterator[int]:
        for start, window in enumerate(_windows(query.tokens, self._min_words)):
            for number, offset in self._by_window.get(window, ()):
                begin, tokens = start - offset, self._stripped[number]
                if begin >= 0 and query.tokens[begin : begin + len(tokens)] == tokens:
                    yield number


def _rows(queries: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    return zip(queries["query_id"], queries["split"], queries["text"], strict=True)


def _prepare(query_id: str, split: str, text: str) -> _Prepared:
    normal = normal_form(text)
    tokens = words(normal)
    return _Prepared(query_id, split, text, normal, tokens, shingles(tokens))


def _strip_marks(tokens: tuple[str, ...]) -> tuple[str, ...]:
    """Remove punctuation at both ends, such as a question mark."""
    kept = [place for place, token in enumerate(tokens) if not unicodedata.category(token[0]).startswith("P")]
    return tokens[kept[0] : kept[-1] + 1] if kept else ()


def _windows(tokens: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1))
