"""In which language a text may be written."""

import pytest

from retune.text.language import could_be, identify_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("integrate", "en"),
        ("Gauss-Legendre quadrature", "en"),
        ("SymPy example, monic, gcd, polynomial", "en"),
        ("offence, traffic, insurance", "en"),
        ("离婚、房产、债务", "zh"),
        ("交强险、人身伤亡保险金", "zh"),
    ],
)
def test_few_words_of_a_language_pass_though_another_is_likelier(text: str, language: str) -> None:
    assert could_be(text, language)


@pytest.mark.parametrize(
    ("text", "language", "is_written_in"),
    [
        ("Wie groß ist die Matrix?", "en", "de"),
        ("quelle est la norme", "en", "fr"),
        ("congés payés", "en", "fr"),
        ("导数的定义", "en", "zh"),
        ("How do I write code?", "zh", "en"),
        ("что такое матрица", "zh", "ru"),
    ],
)
def test_text_of_another_language_does_not_pass(text: str, language: str, is_written_in: str) -> None:
    assert not could_be(text, language)
    assert identify_language(text) == is_written_in
