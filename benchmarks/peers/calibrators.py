"""Calibrators of this project and of others, each a function of fit rows, labels and new rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.peers.tasks import Floats, Ints, Task
from postproc.calibration.by_name import METHODS, default_method, make_calibrator

#: Probabilities of the rows that judge, by a calibrator fitted on a task.
Method = Callable[[Task], Floats]


def as_given(task: Task) -> Floats:
    """No calibration."""
    return task.test_probs


def ours(name: str) -> Method:
    """A method of `postproc calibrate`."""

    def run(task: Task) -> Floats:
        fitted = make_calibrator(name, kind="logits").fit(task.fit, task.fit_labels)
        return np.exp(fitted.predict_log_proba(task.test))

    return run


def probmetrics(kind: str) -> Method:
    """Structured scaling of its authors: SMSCalibrator or SVSCalibrator."""

    def run(task: Task) -> Floats:
        from probmetrics.calibrators import logistic

        fitted = getattr(logistic, kind)().fit(task.fit_probs, task.fit_labels)
        return np.asarray(fitted.predict_proba(task.test_probs), dtype=np.float64)

    return run


def scikit_learn(task: Task) -> Floats:
    """`CalibratedClassifierCV` of a frozen classifier whose features are the scores."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression

    # Its coefficients make the scores their own features; labels of all classes only name them.
    n_classes = task.fit.shape[1]
    frozen = LogisticRegression()
    frozen.classes_ = np.arange(n_classes)
    frozen.coef_, frozen.intercept_ = np.eye(n_classes), np.zeros(n_classes)
    frozen.n_features_in_ = n_classes
    if n_classes == 2:
        frozen.coef_, frozen.intercept_ = np.array([[-1.0, 1.0]]), np.zeros(1)
    model = CalibratedClassifierCV(FrozenEstimator(frozen), method="temperature")
    fitted = model.fit(bounded(task.fit), task.fit_labels)
    return spread(fitted.predict_proba(bounded(task.test)), fitted.classes_, n_classes)


def netcal(kind: str) -> Method:
    """TemperatureScaling or HistogramBinning of netcal; the first needs float64 to work at all."""

    def run(task: Task) -> Floats:
        from netcal import binning, scaling

        home = scaling if kind == "TemperatureScaling" else binning
        fitted = getattr(home, kind)()
        fitted.fit(task.fit_probs, task.fit_labels)
        found = np.asarray(fitted.transform(task.test_probs), dtype=np.float64)
        if found.ndim == 1:  # of two classes, those of the second
            found = np.column_stack([1.0 - found, found])
        return found / found.sum(axis=1, keepdims=True)

    return run


def venn_abers(task: Task) -> Floats:
    """Venn-Abers, one class against all others, each on the given rows."""
    from venn_abers import VennAbersCalibrator

    return np.asarray(
        VennAbersCalibrator().predict_proba(
            p_cal=task.fit_probs,
            y_cal=task.fit_labels,
            p_test=task.test_probs,
            va_type="one_vs_all",
        )
    )


def bounded(logs: Floats) -> Floats:
    """Log-probabilities without minus infinity, which scikit-learn refuses."""
    return np.maximum(logs, -700.0)


def spread(probs: Floats, classes: Ints, n_classes: int) -> Floats:
    """Columns of all classes from those with labels."""
    out = np.zeros((len(probs), n_classes))
    out[:, classes] = probs
    return out


def default(task: Task) -> Floats:
    """What `postproc calibrate` does if no method is asked for."""
    return ours(default_method(task.fit.shape[1]))(task)


OURS: Mapping[str, Method] = {"default": default, **{name: ours(name) for name in METHODS}}

PEERS: Mapping[str, Method] = {
    "probmetrics SMS": probmetrics("SMSCalibrator"),
    "probmetrics SVS": probmetrics("SVSCalibrator"),
    "scikit-learn temperature": scikit_learn,
    "netcal temperature": netcal("TemperatureScaling"),
    "netcal histogram": netcal("HistogramBinning"),
    "package venn-abers": venn_abers,
}

#: The peer that the default of `postproc calibrate` is compared with.
RIVAL = "probmetrics SMS"

#: Methods of two classes, or that compare every pair of classes or search a grid, end here.
MOST_CLASSES: Mapping[str, int] = {
    "binary": 2,
    "beta": 2,
    "quadratic": 2,
    "venn-abers": 2,
    "package venn-abers": 20,
    "netcal temperature": 100,
}


def methods_for(n_classes: int) -> Mapping[str, Method]:
    """Methods of both sides for so many classes."""
    every = {"as given": as_given, **OURS, **PEERS}
    return {k: run for k, run in every.items() if n_classes <= MOST_CLASSES.get(k, n_classes)}
