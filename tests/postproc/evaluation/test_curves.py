"""Curves against those of scikit-learn and loops."""

import numpy as np
import pytest
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from postproc.evaluation.curves import POINTS, curves_of, risk_coverage
from postproc.evaluation.ranking import cells_of


def test_points_lie_on_the_curves_of_scikit_learn():
    rng = np.random.default_rng(0)
    y = rng.random(3000) < 0.3
    for digits in (1, 2, 12):
        scores = (rng.normal(size=3000) + y).round(digits)
        weights = rng.uniform(0, 2, 3000)
        cells, _ = cells_of(scores, y, weights)
        found = curves_of(cells)
        assert len(found.recall) <= POINTS + 1
        fpr, tpr, _ = roc_curve(y, scores, sample_weight=weights, drop_intermediate=False)
        known = set(zip(fpr.round(9), tpr.round(9), strict=True))
        points = zip(found.false_positives.round(9), found.recall.round(9), strict=True)
        assert set(points) <= known
        precision, recall, _ = precision_recall_curve(y, scores, sample_weight=weights)
        known = set(zip(recall.round(9), precision.round(9), strict=True))
        assert set(zip(found.recall.round(9), found.precision.round(9), strict=True)) <= known
        assert (found.false_positives[-1], found.recall[-1]) == (1, 1)
        area = auc(np.append(0, found.false_positives), np.append(0, found.recall))
        assert abs(area - auc(fpr, tpr)) < 0.01


def risk_loop(levels, right):
    """Mean over the rows of the share of wrong rows among those as confident or more."""
    return np.mean([1 - right[levels >= level].mean() for level in levels])


def test_area_of_risk_is_that_of_the_loop():
    rng = np.random.default_rng(0)
    for digits in (12, 1):
        levels = np.round(rng.random(80), digits)
        right = rng.random(80) < levels
        distinct, at = np.unique(levels, return_inverse=True)
        rows = np.bincount(at)
        found = risk_coverage(rows, np.bincount(at, right).astype(np.int64))
        assert abs(found.area - risk_loop(levels, right)) < 1e-12
        assert found.coverage[-1] == 1
        assert found.risk[-1] == pytest.approx(1 - right.mean())
        most = levels == distinct[-1]
        assert found.coverage[0] >= most.mean()
