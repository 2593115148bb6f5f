"""Shingles against their definition."""

import zlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from retune.core.words import normal_form, words
from retune.text.near_duplicates import shingles


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_shingles_are_of_each_word_and_each_two_neighbours(text: str) -> None:
    found = words(normal_form(text))
    expected = [*found, *(f"{first} {second}" for first, second in pairwise(found))]
    assert shingles(found) == {zlib.crc32(shingle.encode()) for shingle in expected}


def test_text_without_words_has_no_shingles() -> None:
    assert shingles(()) == frozenset()
