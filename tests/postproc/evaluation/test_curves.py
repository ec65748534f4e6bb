"""ROC and precision-recall curves against scikit-learn's."""

import numpy as np
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from postproc.evaluation.curves import POINTS, curves_of
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
