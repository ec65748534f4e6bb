"""Label shift in the pipeline of labels: found, used where it gains, left alone otherwise."""

import numpy as np
import pytest

from ensemble import MultilabelPostprocessor
from ensemble.auto.label_shift import shifted_labels, sigmoid
from postproc.evaluation.registry import find_metric

RATES = np.array([0.3, 0.2, 0.1, 0.4])


def draw(n, seed, rates=RATES, sharp=2.0):
    """Calibrated log-odds for `RATES`, and labels of other rates."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, len(rates))) < rates).astype(int)
    x = sharp * y + rng.normal(size=y.shape)
    return np.log(RATES / (1 - RATES)) + sharp * (x - sharp / 2), y


MOVED = np.array([0.3, 0.6, 0.1, 0.05])


def test_shifted_labels_are_adapted_and_gain():
    z, y = draw(800, 0)
    target, truth = draw(800, 1, MOVED)
    auto = MultilabelPostprocessor(metric="log_loss").fit([z], y, multilabel=True)
    adapted = auto.adapt_to([target])
    assert adapted.adapted_.tolist() == [False, True, False, True]
    assert [each.share for each in adapted.shifted] == pytest.approx([0.6, 0.05], abs=0.06)
    assert "2 of 4 labels have shifted; 2 are adapted" in adapted.summary_
    metric = find_metric("log_loss")
    before = metric.measure(truth, sigmoid(target))
    gain = metric.gain(metric.measure(truth, auto.predict_proba([target])), before)
    assert gain.interval[0] > 0


def test_no_label_is_adapted_without_a_shift():
    z, y = draw(800, 2)
    auto = MultilabelPostprocessor().fit([z], y, multilabel=True)
    adapted = [auto.adapt_to([draw(400, seed)[0]]) for seed in range(3, 13)]
    assert sum(bool(each.adapted_.any()) for each in adapted) <= 1
    assert adapted[0].summary_.endswith("No label has clearly shifted.")


def test_adapted_log_odds_move_by_the_change_of_the_odds():
    z, y = draw(800, 0)
    target, _ = draw(800, 1, MOVED)
    auto = MultilabelPostprocessor(metric="micro_f1").fit([z], y, multilabel=True)
    adapted = auto.adapt_to([target])
    moved = np.zeros(4)
    for each in adapted.shifted:
        if each.adapted:
            odds = [share / (1 - share) for share in (each.share, each.source)]
            moved[each.label] = np.log(odds[0] / odds[1])
    assert moved.any()
    np.testing.assert_allclose(adapted.predict_proba([target]), sigmoid(target + moved))


@pytest.mark.parametrize("metric", ["auc", "average_precision"])
def test_metrics_of_ranks_look_for_no_shift(metric):
    z, y = draw(800, 0)
    assert shifted_labels(draw(800, 1, MOVED)[0], z, y, find_metric(metric)) == ()


def test_what_would_not_gain_on_weighted_fit_rows_is_left_alone():
    z, y = draw(600, 0)
    target, _ = draw(4000, 1, RATES + np.array([0.0, 0.1, 0.3, 0.0]))
    found = shifted_labels(target, z, y, find_metric("hamming_loss"))
    assert [each.label for each in found] == [1, 2]
    assert [each.adapted for each in found] == [False, True]
    for each in found:
        weights = np.where(
            y[:, each.label] == 1,
            each.share / y[:, each.label].mean(),
            (1 - each.share) / (1 - y[:, each.label].mean()),
        )
        moved = z.copy()
        moved[:, each.label] += each.log_odds
        wrong = [np.average(((z >= 0) != y).mean(axis=1), weights=weights) for z in (z, moved)]
        gain = wrong[0] - wrong[1]
        assert each.low <= gain <= each.high
        assert each.adapted == (each.low > 0)


def test_a_label_without_positive_rows_is_left_alone():
    z, y = draw(400, 0)
    y[:, 1] = 0
    found = shifted_labels(draw(400, 1, MOVED)[0], z, y, find_metric("log_loss"))
    assert 1 not in [each.label for each in found]


def test_too_few_fit_rows_look_for_no_shift():
    z, y = draw(8, 0)
    with pytest.warns(UserWarning, match="too few to learn from"):
        auto = MultilabelPostprocessor().fit([z], y, multilabel=True)
    assert auto.adapt_to([z]).shifted == ()
    np.testing.assert_allclose(auto.predict_proba([z]), sigmoid(z), rtol=1e-12)
