"""Rank averaging over rows, against scipy.stats.rankdata."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from ensemble import Voting, load_model, rank_vote, save_model
from ensemble.base import combine_all
from ensemble.members import check_members
from postproc import softmax
from postproc.scores.blocks import Sizes


def members_of(n_rows, n_classes, *, seed=0, decimals=2):
    """Three members of unlike calibration, with ties."""
    rng = np.random.default_rng(seed)
    made = []
    for scale in (0.3, 1.0, 4.0):
        probs = softmax(scale * rng.normal(size=(n_rows, n_classes))).round(decimals)
        made.append((probs + 1e-3) / (probs + 1e-3).sum(axis=1, keepdims=True))
    return made


@given(st.integers(1, 40), st.integers(2, 5), st.integers(0, 9), st.booleans())
def test_ranks_are_those_of_scipy(n_rows, n_classes, seed, weighted):
    members = members_of(n_rows, n_classes, seed=seed)
    weights = [0.5, 0.3, 0.2] if weighted else [1 / 3] * 3
    expected = sum(
        w * (rankdata(probs, axis=0) - 0.5) for w, probs in zip(weights, members, strict=True)
    )
    expected /= expected.sum(axis=1, keepdims=True)
    found = rank_vote(members, weights=weights, over="rows")
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_auc_of_two_classes_is_that_of_the_mean_rank():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    z = [rng.normal(size=400) + 1.2 * y for _ in range(2)]
    one, other = 1 / (1 + np.exp(-0.05 * z[0] - 3)), 1 / (1 + np.exp(1 - 3 * z[1]))
    members = [np.c_[1 - p, p] for p in (one, other)]
    ranked = rank_vote(members, over="rows")[:, 1]
    expected = roc_auc_score(y, rankdata(one) + rankdata(other))
    assert roc_auc_score(y, ranked) == pytest.approx(expected, abs=1e-12)
    assert expected > roc_auc_score(y, rank_vote(members)[:, 1]) + 0.1


def test_order_of_rows_and_size_of_blocks_do_not_matter():
    members, order = members_of(50, 3), np.random.default_rng(1).permutation(50)
    whole = rank_vote(members, over="rows")
    moved = rank_vote([probs[order] for probs in members], over="rows")
    np.testing.assert_allclose(moved, whole[order], rtol=1e-12)
    checked = check_members(members)
    voting = Voting("rank", over="rows").fit(checked)
    small = combine_all(voting, checked, Sizes(member=64))
    np.testing.assert_array_equal(small, whole)
    tensors = rank_vote([torch.tensor(probs) for probs in members], over="rows")
    np.testing.assert_allclose(tensors.numpy(), whole, rtol=1e-12)


def test_a_saved_vote_ranks_the_rows_it_is_given(tmp_path):
    members = members_of(30, 2)
    save_model(Voting("rank", over="rows").fit(members), tmp_path / "rank.json")
    loaded = load_model(tmp_path / "rank.json")
    others = members_of(20, 2, seed=5)
    np.testing.assert_array_equal(loaded.predict_proba(others), rank_vote(others, over="rows"))


def test_only_ranks_are_taken_over_rows():
    with pytest.raises(ValueError, match="`over` must be"):
        Voting("soft", over="rows").fit(members_of(5, 2))
    with pytest.raises(ValueError, match="`over` must be"):
        rank_vote(members_of(5, 2), over="columns")
