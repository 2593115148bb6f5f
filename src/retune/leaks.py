"""Find queries of train that give away queries of dev or test."""

import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd
from datasketch import MinHash, MinHashLSH

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
SHINGLE = 3  # words
PERMUTATIONS = 128
LEAK_COLUMNS = ["kind", "train_query_id", "query_id", "split", "similarity", "train_text", "text"]


class _Prepared(NamedTuple):
    """A query as the checks compare it."""

    query_id: str
    split: str
    text: str
    normal: str  # compatible forms, case and white space made equal
    words: tuple[str, ...]
    shingles: frozenset[int]  # hashes of its runs of three words


def find_leaks(queries: pd.DataFrame, *, near_duplicate: float, min_words: int) -> pd.DataFrame:
    """List pairs of a train query and a dev or test query of which the first gives away the second.

    A pair is `exact` (equal but for case, white space and Unicode's compatible forms), else `contains` (the dev or
    test query's words stand in the train query, in a row), else `near_duplicate` (Jaccard similarity of the sets
    of word trigrams; candidates by MinHash and LSH of datasketch, then compared exactly). A word of Chinese,
    Japanese and Korean is one sign.

    Args:
        queries: `query_id`, `text` and `split` (train, dev or test).
        near_duplicate: Jaccard similarity in (0, 1] from which a pair counts.
        min_words: Shorter dev and test queries are not looked for inside train queries.

    Returns:
        `kind`, `train_query_id`, `query_id`, `split`, `similarity` (Jaccard), `train_text`, `text`; train's order.
    """
    held_out = [_prepare(*row) for row in _rows(queries[queries["split"] != "train"])]
    index = _HeldOut(held_out, near_duplicate, min_words)
    train = queries[queries["split"] == "train"] if held_out else queries[:0]
    rows = [
        (kind, query.query_id, other.query_id, other.split, round(_jaccard(query, other), 5), query.text, other.text)
        for query in (_prepare(*row) for row in _rows(train))
        for other, kind in index.find(query).items()
    ]
    return pd.DataFrame(rows, columns=LEAK_COLUMNS)


class _HeldOut:
    """Dev and test queries, indexed for each kind of leak."""

    def __init__(self, queries: list[_Prepared], near_duplicate: float, min_words: int) -> None:
        self._near_duplicate, self._min_words = near_duplicate, min_words
        self._exact: dict[str, list[_Prepared]] = defaultdict(list)
        self._starts: dict[tuple[str, ...], list[_Prepared]] = defaultdict(list)
        self._lsh = MinHashLSH(threshold=near_duplicate, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
        self._queries = queries
        self._shingles = frozenset().union(*(query.shingles for query in queries))
        for number, query in enumerate(queries):
            self._exact[query.normal].append(query)
            if len(query.words) >= min_words:
                self._starts[query.words[:min_words]].append(query)
            self._lsh.insert(number, _minhash(query.shingles))

    def find(self, query: _Prepared) -> dict[_Prepared, str]:
        """Return the held-out queries that a train query gives away, and how."""
        found = dict.fromkeys(self._exact.get(query.normal, ()), "exact")
        for other in self._contained(query):
            found.setdefault(other, "contains")
        if len(query.shingles & self._shingles) >= self._near_duplicate * len(query.shingles) > 0:
            for number in sorted(self._lsh.query(_minhash(query.shingles))):
                if _jaccard(query, self._queries[number]) >= self._near_duplicate:
                    found.setdefault(self._queries[number], "near_duplicate")
        return found

    def _contained(self, query: _Prepared) -> Iterator[_Prepared]:
        for start in range(len(query.words) - self._min_words + 1):
            for other in self._starts.get(query.words[start : start + self._min_words], ()):
                if query.words[start : start + len(other.words)] == other.words:
                    yield other


def _rows(queries: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    return zip(queries["query_id"], queries["split"], queries["text"], strict=True)


def _prepare(query_id: str, split: str, text: str) -> _Prepared:
    normal = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    words = tuple(WORD.findall(normal))
    runs = (" ".join(words[start : start + SHINGLE]) for start in range(max(1, len(words) - SHINGLE + 1)))
    return _Prepared(query_id, split, text, normal, words, frozenset(zlib.crc32(run.encode()) for run in runs))


def _minhash(shingles: frozenset[int]) -> MinHash:
    sketch = MinHash(num_perm=PERMUTATIONS, hashfunc=int)
    sketch.update_batch(sorted(shingles))
    return sketch


def _jaccard(one: _Prepared, other: _Prepared) -> float:
    return len(one.shingles & other.shingles) / len(one.shingles | other.shingles)
