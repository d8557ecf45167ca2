"""The rules from decoded pictures to frames, on arrays."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.video.reading.pixels import square_size, upright

PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)

TURNS = {
    (1, 0, 0, 1): PICTURE,
    (0, -1, 1, 0): np.rot90(PICTURE),
    (-1, 0, 0, -1): np.rot90(PICTURE, 2),
    (0, 1, -1, 0): np.rot90(PICTURE, -1),
    (-1, 0, 0, 1): PICTURE[:, ::-1],
    (1, 0, 0, -1): PICTURE[::-1],
    (0, 1, 1, 0): PICTURE.swapaxes(0, 1),
    (0, -1, -1, 0): np.rot90(PICTURE, 2).swapaxes(0, 1),
}


@pytest.mark.parametrize("matrix", TURNS)
def test_each_of_the_eight_matrices_turns_its_way(matrix: tuple[int, int, int, int]) -> None:
    scaled = tuple(65536 * value for value in matrix)
    assert np.array_equal(upright(PICTURE, scaled), TURNS[matrix])


def test_an_angle_between_counts_as_the_nearest_quarter() -> None:
    assert np.array_equal(upright(PICTURE, (10, -100, 100, 10)), np.rot90(PICTURE))


def test_a_matrix_without_inverse_turns_nothing() -> None:
    assert upright(PICTURE, (0, 0, 0, 0)) is PICTURE


@given(
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    aspect=st.fractions(min_value=Fraction(1, 8), max_value=8),
)
def test_square_pixels_lose_nothing_and_keep_the_shape(
    width: int, height: int, aspect: Fraction
) -> None:
    new_width, new_height = square_size(width, height, aspect)
    assert new_width >= width
    assert new_height >= height
    assert abs(new_width - width * max(aspect, 1)) <= 0.5
    assert abs(new_height - height / min(aspect, 1)) <= 0.5


@pytest.mark.parametrize("aspect", [None, Fraction(0), Fraction(1, 9), Fraction(100)])
def test_an_aspect_that_cannot_be_counts_as_square(aspect: Fraction | None) -> None:
    assert square_size(320, 240, aspect) == (320, 240)
