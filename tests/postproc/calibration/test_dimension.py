"""Size of an embedding against its formula."""

import math

import pytest

from postproc import embedding_dimension


@pytest.mark.parametrize("n", [2, 77, 1000, 100_000, 5_000_000])
def test_nearest_integer(n):
    assert abs(embedding_dimension(n) - 8.33 * math.log(n)) <= 0.5


def test_one_thing_needs_none():
    with pytest.raises(ValueError, match=r"`n` must be"):
        embedding_dimension(1)
