"""Priors of labels in a target: by EM label by label, and kept where the evidence is thin."""

import numpy as np
import pytest

from postproc import MultilabelShiftAdapter, em_prior
from postproc.calibration.multilabel import calibrated_labels


def draw(shares, n=600, seed=0):
    """Labels of these shares, and logits that tell them from others."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, len(shares))) < shares).astype(int)
    return 3.0 * y - 2.5 + rng.standard_normal(y.shape), y


VAL, Y = draw([0.3, 0.2, 0.1])


def test_priors_are_those_of_em_on_two_classes():
    adapter = MultilabelShiftAdapter(method="em").fit(VAL, Y)
    target, labels = draw([0.8, 0.2, 0.02], seed=1)
    found = adapter.adapt_to(target)
    probs = calibrated_labels(adapter.model_, target, "logits")
    for label in range(3):
        source = [1 - found.source[label], found.source[label]]
        both = np.column_stack([1 - probs[:, label], probs[:, label]])
        wanted = em_prior(both, source)
        np.testing.assert_allclose(found.share[label], wanted.prior[1], atol=1e-6)
        np.testing.assert_allclose(found.std[label], wanted.std[1], atol=1e-6)
    low, high = found.interval
    assert found.adapted.tolist() == [True, False, True]
    assert (low[:2] < labels.mean(axis=0)[:2]).all()
    assert (labels.mean(axis=0)[:2] < high[:2]).all()


def test_adapting_multiplies_the_odds_of_shifted_labels_alone():
    adapter = MultilabelShiftAdapter().fit(VAL, Y)
    target, labels = draw([0.8, 0.2, 0.1], seed=2)
    found = adapter.adapt_to(target)
    before = calibrated_labels(adapter.model_, target, "logits")
    after = adapter.predict_proba(target)
    np.testing.assert_allclose(after[:, 1:], before[:, 1:], atol=1e-12)
    odds = found.share[0] / (1 - found.share[0]) / (found.source[0] / (1 - found.source[0]))
    p = before[:, 0]
    np.testing.assert_allclose(after[:, 0], odds * p / (odds * p + 1 - p), atol=1e-9)
    np.testing.assert_array_equal(adapter.predict(target), after >= 0.5)
    assert adapter.score(target, labels) == ((after >= 0.5) == labels).all(axis=1).mean()
    losses = [-np.log(np.where(labels == 1, q, 1 - q))[:, 0].mean() for q in (before, after)]
    assert losses[1] < losses[0]


def test_no_shift_and_thin_evidence_change_nothing():
    adapter = MultilabelShiftAdapter().fit(VAL, Y)
    wrong = sum(
        adapter.adapt_to(draw([0.3, 0.2, 0.1], seed=seed)[0]).adapted.any() for seed in range(20)
    )
    assert wrong <= 3  # of 20 at a level of 5 %
    few, _ = draw([1.0, 1.0, 1.0], n=3, seed=4)
    assert not adapter.adapt_to(few).adapted.any()


def test_labels_may_come_in_any_order():
    order = [2, 0, 1]
    target, _ = draw([0.8, 0.2, 0.02], seed=1)
    one = MultilabelShiftAdapter().fit(VAL, Y).predict_proba(target)
    other = MultilabelShiftAdapter().fit(VAL[:, order], Y[:, order]).predict_proba(target[:, order])
    np.testing.assert_allclose(one[:, order], other, atol=1e-6)


def test_bad_options():
    with pytest.raises(ValueError, match='`method` must be one of "em", "map", got \'bbse\''):
        MultilabelShiftAdapter(method="bbse").fit(VAL, Y)
    with pytest.raises(ValueError, match="`scores` must be an array of 3 columns"):
        MultilabelShiftAdapter().fit(VAL, Y).adapt_to(VAL[:, :2])
