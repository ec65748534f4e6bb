"""Names decide where columns and rows belong."""

import numpy as np
import pytest

from postproc.scores.names import matching_order, positions


def test_the_same_order_needs_no_positions():
    assert matching_order(("a", "b"), np.array(["a", "b"]), "ids") is None


def test_positions_put_names_in_the_order_wanted():
    have, want = np.array(["c", "a", "b"]), ["a", "b", "c"]
    np.testing.assert_array_equal(have[matching_order(have, want, "ids")], want)


def test_names_that_are_lacking_have_no_position():
    np.testing.assert_array_equal(positions(["b", "a"], ["a", "x", "b"]), [1, -1, 0])
    found = matching_order(["b", "a"], ["a", "x", "b"], "classes", may_lack=True)
    np.testing.assert_array_equal(found, [1, -1, 0])
    with pytest.raises(ValueError, match="got 'a' instead of 'x'"):
        matching_order(["b", "a"], ["x", "b"], "classes", may_lack=True)


@pytest.mark.parametrize(
    ("have", "rule"),
    [
        (["a"], "those of the labels, in any order, got all but 'b'; add it"),
        (["a", "b", "c"], "those of the labels, in any order, got 'c' in addition; add it"),
        (["b", "a", "b"], "unique, got 'b' more than once"),
    ],
)
def test_what_is_wrong_with_names_is_said(have, rule):
    with pytest.raises(ValueError) as caught:
        matching_order(have, ["a", "b"], "ids of m", like="the labels", mend="add it")
    assert str(caught.value) == f"`ids of m` must be {rule}"


def test_unlike_names_are_listed():
    with pytest.raises(ValueError) as caught:
        matching_order(["a", "b", "x"], ["a", "b", "c"], "class names of m")
    assert str(caught.value) == (
        "`class names of m` must be those of the other models, in any order, got 'x' instead of 'c'"
    )


def test_many_unlike_names_are_cut_short():
    with pytest.raises(
        ValueError, match=r"got 'e', 'f', 'g', \.\.\. instead of 'a', 'b', 'c', \.\.\.$"
    ):
        matching_order(list("efgh"), list("abcd"), "ids of m")
