"""Diversity against counts taken row by row."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ensemble import pairwise_diversity
from postproc.scores.blocks import Sizes
from tests.ensemble.conftest import make_members


def naive(a, b, y):
    """Disagreement, double fault, Q and difference of two members, from the definitions."""
    n = {(i, j): 0 for i in (0, 1) for j in (0, 1)}
    unlike = 0
    for row_a, row_b, label in zip(a, b, y, strict=True):
        winner_a, winner_b = list(row_a).index(max(row_a)), list(row_b).index(max(row_b))
        n[int(winner_a == label), int(winner_b == label)] += 1
        unlike += winner_a != winner_b
    alike, crossed = n[1, 1] * n[0, 0], n[0, 1] * n[1, 0]
    q = (alike - crossed) / (alike + crossed) if alike + crossed else float("nan")
    return (n[0, 1] + n[1, 0]) / len(y), n[0, 0] / len(y), q, unlike / len(y)


def test_matches_the_loop():
    members, y = make_members()
    found = pairwise_diversity(members, y, sizes=Sizes(member=8 * 5 * 7))
    for i, a in enumerate(members):
        for j, b in enumerate(members):
            expected = naive(a, b, y)
            got = (
                found.disagreement[i, j],
                found.double_fault[i, j],
                found.q_statistic[i, j],
                found.difference[i, j],
            )
            np.testing.assert_allclose(got, expected, atol=1e-12)


@pytest.mark.parametrize("dtype", ["u1", "i8", "f8"])
def test_labels_of_every_type_are_worth_the_same(dtype):
    members, y = make_members()
    expected = pairwise_diversity(members, y).to_dict()
    assert pairwise_diversity(members, y.astype(dtype)).to_dict() == expected


def test_invariant_to_the_order_of_rows_and_members():
    members, y = make_members()
    order = np.random.default_rng(0).permutation(len(y))
    there = pairwise_diversity(members, y)
    back = pairwise_diversity([z[order] for z in members[::-1]], y[order])
    np.testing.assert_allclose(back.q_statistic[::-1, ::-1], there.q_statistic, atol=1e-12)


def test_undefined_q_is_nan_and_none_in_json():
    right = np.eye(2)
    found = pairwise_diversity([right, right], [0, 1])
    assert np.isnan(found.q_statistic).all()
    result = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert result["q_statistic"] == [[None, None], [None, None]]
    assert result["names"] == ["members[0]", "members[1]"]
    assert result["double_fault"] == [[0.0, 0.0], [0.0, 0.0]]


def test_no_rows():
    with pytest.raises(ValueError) as error:
        pairwise_diversity([np.zeros((0, 2))], [], kinds="logits")
    assert str(error.value) == "`members` must be arrays of one or more rows, got no row"
