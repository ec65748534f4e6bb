"""Pooling of rows that share an id, against a loop over groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble import hard_vote, log_pool, median_vote, pool_rows, soft_vote
from ensemble.rows import RULES, PoolRows, RowGroups
from postproc import Predictions, softmax

VOTES = {"soft": soft_vote, "log": log_pool, "median": median_vote, "hard": hard_vote}


def loop(probs, ids, rule):
    """One group after the other, in order of first appearance."""
    rows = []
    for name in dict.fromkeys(ids):
        group = probs[[i for i, other in enumerate(ids) if other == name]]
        if rule == "max":
            highest = group.max(axis=0)
            rows.append(highest / highest.sum())
        else:
            rows.append(VOTES[rule]([row[None] for row in group])[0])
    return np.array(rows)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=25), st.sampled_from(RULES))
def test_against_a_loop(groups, rule):
    rng = np.random.default_rng(len(groups))
    probs = rng.dirichlet(np.ones(4), len(groups))
    ids = [f"r{g}" for g in groups]
    pooled = pool_rows(Predictions.check(probs), ids, rule=rule)
    np.testing.assert_allclose(pooled.scores, loop(probs, ids, rule), atol=1e-12)
    assert pooled.ids.tolist() == list(dict.fromkeys(ids))


@pytest.mark.parametrize("rule", RULES)
def test_blocks_do_not_matter(rule):
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 60)
    ids = rng.integers(0, 20, 60)
    part = PoolRows((Predictions.check(probs),), RowGroups.of(ids), rule)
    whole = part(slice(0, len(part.groups)))[0]
    for step in (1, 3, 7):
        cuts = [slice(a, min(a + step, len(whole))) for a in range(0, len(whole), step)]
        np.testing.assert_array_equal(np.concatenate([part(cut)[0] for cut in cuts]), whole)


def test_rows_that_are_alike_stay_as_they_are():
    probs = np.array([[0.7, 0.3], [0.7, 0.3], [0.1, 0.9]])
    for rule in set(RULES) - {"hard"}:
        pooled = pool_rows(Predictions.check(probs), ["a", "a", "b"], rule=rule)
        np.testing.assert_allclose(pooled.scores, [[0.7, 0.3], [0.1, 0.9]])


def test_files_of_folds_are_put_together_in_the_wanted_order():
    logits = np.random.default_rng(1).normal(size=(6, 3))
    first = Predictions.check(logits[[4, 0, 2]], ids=["4", "0", "2"], name="fold0")
    second = Predictions.check(softmax(logits[[1, 5, 3]]), ids=["1", "5", "3"], name="fold1")
    pooled = pool_rows([first, second], order=[str(i) for i in range(6)])
    np.testing.assert_allclose(pooled.scores, softmax(logits), atol=1e-12)


def test_exact_zeros_of_a_log_pool_stay_finite():
    pooled = pool_rows(Predictions.check([[1.0, 0.0], [0.5, 0.5]]), ["a", "a"], rule="log")
    assert np.isfinite(pooled.scores).all()
    np.testing.assert_allclose(pooled.scores.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("ids", "options", "message"),
    [
        (None, {}, "must be predictions with an id for each row, got no ids"),
        (["a"], {}, r"`ids` must be of shape \(2,\)"),
        (["a", "b"], {"rule": "mean"}, "`rule` must be"),
        (["a", "b"], {"order": ["a"]}, "'b', which is not in it"),
        (["a", "b"], {"order": ["a", "b", "c"]}, "'c', which has no row"),
        (["a", "b"], {"order": ["a", "b", "a"]}, "one that occurs twice"),
    ],
)
def test_faults(ids, options, message):
    with pytest.raises(ValueError, match=message):
        pool_rows(Predictions.check([[0.5, 0.5], [0.1, 0.9]]), ids, **options)


def test_unlike_classes_are_refused():
    a = Predictions.check([[0.5, 0.5]], classes=["x", "y"], ids=["1"], name="a")
    b = Predictions.check([[0.5, 0.5]], classes=["y", "x"], ids=["2"], name="b")
    with pytest.raises(ValueError, match="classes of b"):
        pool_rows([a, b])
