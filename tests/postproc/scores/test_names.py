"""Names decide where columns and rows belong."""

import numpy as np
import pytest

from postproc.scores.names import matching_order


def test_the_same_order_needs_no_positions():
    assert matching_order(("a", "b"), np.array(["a", "b"]), "ids") is None


def test_positions_put_names_in_the_order_wanted():
    have, want = np.array(["c", "a", "b"]), ["a", "b", "c"]
    np.testing.assert_array_equal(have[matching_order(have, want, "ids")], want)


def test_unlike_names_are_listed():
    with pytest.raises(ValueError) as caught:
        matching_order(["a", "b", "x"], ["a", "b", "c"], "class names of m")
    assert str(caught.value) == (
        "`class names of m` must be those of the other models, in any order, "
        "got 'x' in place of 'c'"
    )


def test_many_unlike_names_are_cut_short():
    with pytest.raises(
        ValueError, match=r"got 'e', 'f', 'g', \.\.\. in place of 'a', 'b', 'c', \.\.\.$"
    ):
        matching_order(list("efgh"), list("abcd"), "ids of m")
