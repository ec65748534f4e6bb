"""Calibrators: temperature, bias, matrix and pool, on data whose calibration is known."""

import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime, minimize_scalar
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from postproc import (
    BiasCorrectedTemperatureScaling,
    PooledScaling,
    ResidualMatrixScaling,
    StructuredScaling,
    TemperatureScaling,
    log_softmax,
    softmax,
)
from postproc.calibration.affine import (
    AffineProblem,
    Curvature,
    Solution,
    affine_loss,
    fit_temperature,
    keep_unseen,
    left_out_temperatures,
    mean_log_loss,
)
from postproc.evaluation.folds import canonical_order, random_folds

CALIBRATORS = [
    TemperatureScaling,
    BiasCorrectedTemperatureScaling,
    ResidualMatrixScaling,
    PooledScaling,
    StructuredScaling,
]


def gaussian_task(n, prior, seed, distance=1.5):
    """Log-likelihoods of rows from unit Gaussians at orthogonal means: posteriors are known."""
    rng = np.random.default_rng(seed)
    y = rng.choice(len(prior), n, p=prior)
    return distance * (rng.normal(size=(n, len(prior))) + distance * np.eye(len(prior))[y]), y


@pytest.fixture(scope="module")
def miscalibrated():
    x, y = gaussian_task(250, np.full(5, 0.2), 0)
    return 3.0 * (x + np.array([0.5, 0.0, -0.5, 0.0, 0.0])), y


@pytest.mark.parametrize("n", [12, 300, 20_000])
def test_temperatures_without_a_fold_are_those_of_fits_without_it(n):
    x, y = gaussian_task(n, np.full(4, 0.25), 1)
    logs, fold = log_softmax(2.0 * x), np.arange(n) % 5
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(5)]
    found = left_out_temperatures(logs, y, splits, fit_temperature(logs, y))
    fits = [fit_temperature(logs[train], y[train]) for train, _ in splits]
    np.testing.assert_allclose(found, fits, rtol=2e-4)  # less than a tenth of a fold's step
    assert max(np.abs(np.array(fits) - np.mean(fits))) > 1e-4


def test_gradient_against_finite_differences():
    rng = np.random.default_rng(0)
    logs = log_softmax(rng.normal(size=(12, 3)))
    features, y = rng.normal(size=(12, 2)), np.arange(12) % 3

    def loss(theta):
        beta, bias, weight = np.exp(theta[0]), theta[1:4], theta[4:].reshape(2, 3)
        total = 0.0
        for i in range(12):
            z = [beta * logs[i, j] + bias[j] + sum(features[i] * weight[:, j]) for j in range(3)]
            total += np.log(sum(np.exp(z))) - z[y[i]]
        penalty = 0.7 * np.sum(weight**2) / 12 + 0.3 * np.mean(bias**2) + theta[0] ** 2 / 24
        return total / 12 + penalty

    start = Solution(0.0, np.zeros(3), np.zeros((2, 3)))
    problem = AffineProblem(logs, features, y, Curvature.at(1.0, logs))
    found = problem.solve(0.7, 0.3, start, max_iter=500)
    theta = np.concatenate([[found.log_beta], found.bias, found.weight.ravel()])
    assert found.converged
    assert np.abs(approx_fprime(theta, loss, 1e-6)).max() < 3e-4
    assert loss(theta) < loss(np.zeros(10))


@pytest.mark.parametrize("n_rows", [5, 300, 5000])
@pytest.mark.parametrize("factor", [1e-2, 1.0, 1e2])
def test_newton_finds_the_temperature_of_a_search(n_rows, factor):
    x, y = gaussian_task(n_rows, np.full(4, 0.25), 1)
    logs = log_softmax(factor * x)

    def loss(log_beta):
        tempered = log_softmax(np.exp(log_beta) * logs)
        return mean_log_loss(tempered, y) + log_beta**2 / (2 * n_rows)

    sought = minimize_scalar(loss, bounds=(-10, 10), method="bounded", options={"xatol": 1e-9})
    for start in (None, 1.0, 1e-4, 1e4):
        assert np.log(fit_temperature(logs, y, start)) == pytest.approx(sought.x, abs=1e-6)


@pytest.mark.parametrize("with_features", [False, True])
def test_affine_loss_in_blocks(with_features):
    """Rows enough for many blocks, against one expression; slopes against finite differences."""
    rng = np.random.default_rng(0)
    n_rows, n_classes = 3000, 60
    logs, y = log_softmax(rng.normal(size=(n_rows, n_classes))), rng.integers(60, size=n_rows)
    features = rng.normal(size=(n_rows, 3)) if with_features else None
    scale, bias = 1 + 0.1 * rng.normal(size=n_classes), rng.normal(size=n_classes)
    weight = 0.1 * rng.normal(size=(3, n_classes)) if with_features else np.zeros((0, n_classes))
    loss, *slopes = affine_loss(logs, features, y, scale, bias, weight)

    def plain(scale, bias, weight):
        z = scale * logs + bias + (features @ weight if with_features else 0)
        return mean_log_loss(log_softmax(z), y)

    assert loss == pytest.approx(plain(scale, bias, weight), abs=1e-12)
    given = scale, bias, weight
    for k, slope in enumerate(slopes):
        for _ in range(3):
            step = 1e-5 * rng.normal(size=slope.shape)
            up, down = (
                [v + s * step if m == k else v for m, v in enumerate(given)] for s in (1, -1)
            )
            numeric = (plain(*up) - plain(*down)) / 2
            assert np.vdot(slope, step) == pytest.approx(numeric, abs=1e-11)


def test_temperature_against_scikit_learn():
    class Scores(ClassifierMixin, BaseEstimator):
        def fit(self, x, y):
            self.classes_ = np.unique(y)
            return self

        def decision_function(self, x):
            return x

        def predict(self, x):
            return x.argmax(axis=1)

    x, y = gaussian_task(800, np.full(4, 0.25), 3)
    frozen = FrozenEstimator(Scores().fit(x, y))
    try:
        oracle = CalibratedClassifierCV(frozen, method="temperature").fit(4.0 * x, y)
    except ValueError:
        pytest.skip("this scikit-learn has no temperature scaling")
    ours = TemperatureScaling().fit(4.0 * x, y).predict_proba(4.0 * x)
    assert np.abs(ours - oracle.predict_proba(4.0 * x)).max() < 0.01


def test_the_temperature_is_the_temperature(miscalibrated):
    fitted = TemperatureScaling().fit(*miscalibrated)
    assert fitted.temperature_ == pytest.approx(3.0, rel=0.25)
    assert fitted.inverse_temperature_ == 1 / fitted.temperature_


def test_the_bias_is_recovered(miscalibrated):
    fitted = BiasCorrectedTemperatureScaling().fit(*miscalibrated)
    assert fitted.bias_[0] < -0.2 < 0.2 < fitted.bias_[2]


def test_calibrated_scores_are_left_as_they_are():
    x, y = gaussian_task(1500, np.full(3, 1 / 3), 5)
    for calibrator in CALIBRATORS:
        assert np.abs(calibrator().fit(x, y).predict_proba(x) - softmax(x)).max() < 0.1


def test_noise_is_flattened():
    rng = np.random.default_rng(0)
    fitted = TemperatureScaling().fit(5 * rng.normal(size=(500, 3)), rng.integers(3, size=500))
    assert fitted.temperature_ > 15


@pytest.mark.parametrize("calibrator", CALIBRATORS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_floats_calibrate_like_float64(miscalibrated, calibrator, dtype):
    narrow, y = miscalibrated[0].astype(dtype), miscalibrated[1]
    fitted = calibrator().fit(narrow, y)
    wide = calibrator().fit(narrow.astype(np.float64), y)
    assert fitted.temperature_ == wide.temperature_ != 1
    found = fitted.predict_proba(narrow)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wide.predict_proba(narrow.astype(np.float64)), atol=1e-6)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_probabilities_and_logits_say_the_same(miscalibrated, calibrator):
    logits, y = miscalibrated
    fitted = calibrator().fit(softmax(logits), y)
    assert fitted.kind_ == "probs"
    expected = calibrator().fit(logits, y).predict_proba(logits)
    np.testing.assert_allclose(fitted.predict_proba(softmax(logits)), expected, atol=1e-3)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_tensors_in_tensors_out(miscalibrated, calibrator):
    logits, y = miscalibrated
    fitted = calibrator().fit(torch.from_numpy(logits), torch.from_numpy(y))
    found = fitted.predict_proba(torch.from_numpy(logits))
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found.numpy(), fitted.predict_proba(logits), rtol=1e-12)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_invariances(miscalibrated, calibrator):
    logits, y = miscalibrated
    expected = calibrator().fit(logits, y).predict_proba(logits)
    order = np.random.default_rng(1).permutation(len(y))
    shuffled = calibrator().fit(logits[order], y[order]).predict_proba(logits)
    np.testing.assert_allclose(shuffled, expected, atol=1e-3)
    classes = np.array([3, 0, 4, 1, 2])
    relabelled = calibrator().fit(logits[:, classes], np.argsort(classes)[y])
    np.testing.assert_allclose(
        relabelled.predict_proba(logits[:, classes]), expected[:, classes], atol=1e-3
    )
    moved = logits + np.random.default_rng(2).normal(size=(len(y), 1))
    np.testing.assert_allclose(calibrator().fit(moved, y).predict_proba(moved), expected, atol=1e-3)
    again = calibrator().fit(logits, y).predict_proba(logits)
    np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_a_class_without_labels_keeps_its_share(calibrator):
    x, y = gaussian_task(600, np.full(4, 0.25), 2)
    kept = y != 3
    with pytest.warns(UserWarning, match=r"1 of 4 classes have no row in the fit split \(3\)"):
        fitted = calibrator().fit(2 * x[kept], y[kept])
    probs = fitted.predict_proba(2 * x)
    assert np.isfinite(probs).all()
    assert probs[y == 3, 3].mean() > 0.5


def test_unseen_classes_keep_exactly_their_share():
    own = np.random.default_rng(0).normal(size=(6, 4))
    kept = np.exp(keep_unseen(own + np.array([3, 0, 0, -9]), own, np.array([3])))
    np.testing.assert_allclose(kept[:, 3], softmax(own)[:, 3], rtol=1e-12)
    np.testing.assert_allclose(kept.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
@pytest.mark.parametrize("n_rows", [2, 15])
def test_fewer_rows_than_classes(calibrator, n_rows):
    rng = np.random.default_rng(0)
    scores, y = 3 * rng.normal(size=(n_rows, 30)), rng.integers(30, size=n_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        probs = calibrator().fit(scores, y).predict_proba(scores)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
@pytest.mark.filterwarnings("ignore:probabilities of exactly 0")
def test_equal_rows_and_hard_zeros(calibrator):
    same = np.tile([[2.0, 1.0, -1.0]], (40, 1))
    with pytest.warns(UserWarning, match="are the same, so nothing can be learned"):
        fitted = calibrator().fit(same, np.arange(40) % 3)
    np.testing.assert_allclose(fitted.predict_proba(same), softmax(same))
    y = np.arange(60) % 3
    hard = np.eye(3)[np.where(np.arange(60) < 6, (y + 1) % 3, y)]
    assert np.isfinite(calibrator().fit(hard, y).predict_proba(hard)).all()


def test_kept_only_where_held_out_loss_falls():
    seen = 0
    for seed in range(10):
        x, y = gaussian_task(30, np.full(3, 1 / 3), seed)
        fitted = BiasCorrectedTemperatureScaling().fit(x, y)
        assert fitted.improved_ == (fitted.held_out_log_loss_ < fitted.identity_log_loss_)
        if not fitted.improved_:
            seen += 1
            assert fitted.temperature_ == 1
            np.testing.assert_allclose(fitted.predict_proba(x), softmax(x), atol=1e-12)
    assert seen


def test_no_convergence_is_said(miscalibrated):
    with pytest.warns(UserWarning, match="has not converged after 1 iterations; raise `max_iter`"):
        BiasCorrectedTemperatureScaling(max_iter=1).fit(*miscalibrated)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_scikit_learn_manners(calibrator, miscalibrated):
    scores, y = miscalibrated
    made = calibrator(kind="logits")
    assert clone(made).get_params() == made.get_params()
    with pytest.raises(NotFittedError):
        made.predict_proba(scores)
    made.fit(scores, y)
    np.testing.assert_array_equal(made.predict(scores), made.predict_proba(scores).argmax(1))
    with pytest.raises(ValueError) as error:
        made.predict_proba(scores[:, :3])
    assert str(error.value) == (
        "`scores` must be an array of 5 columns like those fitted, got 3 columns"
    )


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({}, [0, 1, 9], "`y[2]` must be an integer in 0..1, got 9"),
        ({}, [0, 1], "`y` must be as long as the predictions (3 rows), got 2 labels"),
        ({"n_folds": 1}, [0, 1, 0], "`n_folds` must be an integer >= 2, got 1"),
        ({"clip": 0.0}, [0, 1, 0], "`clip` must be in (0, inf), got 0.0"),
        ({"ridges": ()}, [0, 1, 0], "`ridges` must be one number > 0 or more, got none"),
        ({"ridges": (0.0,)}, [0, 1, 0], "`ridges` must be in (0, inf), got 0.0"),
        ({"shrinkage": 0.0}, [0, 1, 0], "`shrinkage` must be in (0, 1], got 0.0"),
    ],
)
def test_error_messages(options, y, message):
    with pytest.raises(ValueError) as error:
        ResidualMatrixScaling(**options).fit([[2.0, 0.0], [0.0, 2.0], [1.5, 0.0]], y)
    assert str(error.value) == message


def test_one_row_is_too_few():
    with pytest.raises(ValueError, match="`scores` must be an array of 2 rows or more"):
        TemperatureScaling().fit([[2.0, -1.0]], [0])


def test_folds_and_orders_belong_to_the_rows():
    rng = np.random.default_rng(0)
    logs, y = log_softmax(rng.normal(size=(53, 4))), rng.integers(4, size=53)
    order, classes = rng.permutation(53), np.array([2, 0, 3, 1])
    folds = random_folds(logs, y, 5, 0)
    assert sorted(np.bincount(folds)) == [10, 10, 11, 11, 11]
    np.testing.assert_array_equal(random_folds(logs[order], y[order], 5, 0), folds[order])
    relabelled = logs[:, classes], np.argsort(classes)[y]
    np.testing.assert_array_equal(random_folds(*relabelled, 5, 0), folds)
    np.testing.assert_array_equal(
        classes[canonical_order(*relabelled, 0)[1]], canonical_order(logs, y, 0)[1]
    )


@pytest.mark.parametrize("calibrator", CALIBRATORS[:3])
def test_a_temperature_at_the_bound_of_its_range_is_said(miscalibrated, calibrator):
    logits, y = miscalibrated
    with pytest.warns(UserWarning, match=r"the temperature is 2\.2e\+04, at the bound of its ran"):
        calibrator().fit(1e30 * logits, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrator().fit(1e3 * logits, y)


def test_class_names_are_kept_and_checked(miscalibrated):
    logits, y = miscalibrated
    assert TemperatureScaling().fit(logits, y).classes_.tolist() == [0, 1, 2, 3, 4]
    fitted = TemperatureScaling().fit(logits, y, classes=tuple("abcde"))
    assert fitted.classes_.tolist() == list("abcde")
    assert (fitted.n_rows_, fitted.n_features_in_) == logits.shape
    for names, message in (
        ("abcd", r"one per column \(5\), got 4"),
        ("abcda", "'a' more than"),
    ):
        with pytest.raises(ValueError, match=message):
            TemperatureScaling().fit(logits, y, classes=list(names))
