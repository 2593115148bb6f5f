"""Number formats of vectors, by numbers worked out by hand."""

import numpy as np
import pytest

from retune.vectors.number_formats import int8_scales, num_bytes, signs, to_bits, to_int8


@pytest.mark.parametrize(
    ("dtype", "dim", "expected"),
    [("float32", 384, 1536), ("float16", 384, 768), ("int8", 384, 384), ("binary", 384, 48), ("binary", 9, 2)],
)
def test_bytes_of_a_vector(dtype: str, dim: int, expected: int) -> None:
    assert num_bytes(dtype, dim) == expected


def test_each_dimension_has_its_own_step() -> None:
    vectors = np.array([[1.27, 0.0, 0.5], [-0.01, 0.0, -2.54]], dtype=np.float32)
    scales = int8_scales(vectors)
    np.testing.assert_allclose(scales, [0.01, 1.0, 0.02], rtol=1e-6)  # a dimension of zeros keeps them
    assert to_int8(vectors, scales).tolist() == [[127, 0, 25], [-1, 0, -127]]


def test_first_dimension_is_the_highest_bit_and_zero_is_no_positive_number() -> None:
    vectors = np.array([[0.1, -0.1, 0.0, 0.2, -1, -1, -1, -1, 0.3]])
    bits = to_bits(vectors)
    assert bits.tolist() == [[0b10010000, 0b10000000]]
    assert signs(bits, 9).tolist() == [[1, -1, -1, 1, -1, -1, -1, -1, 1]]


def test_inner_product_of_signs_is_the_dimensions_less_twice_the_hamming_distance() -> None:
    vectors = np.random.default_rng(0).standard_normal((2, 20))
    first, second = to_bits(vectors)
    distance = int(np.unpackbits(first ^ second).sum())
    one, other = signs(to_bits(vectors), 20)
    assert one @ other == 20 - 2 * distance
