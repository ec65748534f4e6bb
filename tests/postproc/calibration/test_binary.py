"""Calibrators of two classes against scipy's optimizer, naive loops and scikit-learn."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit

import postproc
from ensemble import load_model, save_model
from postproc.calibration.affine import fit_temperature, mean_log_loss
from postproc.calibration.binary import LinearPoolMap, evidence_weights
from postproc.calibration.log_odds import BetaFeatures, QuadraticFeatures, fit_log_odds, two_logs

CALIBRATORS = {
    "beta": postproc.BetaCalibration,
    "quadratic": postproc.QuadraticScaling,
    "venn-abers": postproc.VennAbersCalibration,
    "binary": postproc.BinaryCalibration,
}


def sample(n, seed=0, *, curve=0.3, slope=1.5):
    """Scores whose true log-odds are a rising curve of them, and labels."""
    rng = np.random.default_rng(seed)
    z = 2 * rng.standard_normal(n)
    truth = 0.5 + slope * z + curve * np.where(z > 0, z**2, 0)
    return z, (rng.random(n) < expit(truth)).astype(np.int64), expit(truth)


def logs_of(z):
    return np.stack([log_expit(-z), log_expit(z)], axis=1)


FEATURES = {
    "beta": lambda z: BetaFeatures(),
    "quadratic": lambda z: QuadraticFeatures(float(z.min()), float(z.max())),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize(("curve", "slope"), [(0.3, 1.5), (0.0, -1.0), (-0.6, 0.2)])
def test_fits_are_those_of_a_bounded_optimizer(name, seed, curve, slope):
    z, y, _ = sample(150, seed, curve=curve, slope=slope)
    logs = logs_of(z)
    features = FEATURES[name](z)
    model, converged = fit_log_odds(features, logs, y)
    assert converged
    assert (model.weights >= 0).all()
    f, beta = features(logs), fit_temperature(logs, y)
    scale = f.std(axis=0)
    rest = np.mean(z - f.sum(axis=1)) + f.mean(axis=0).sum()

    def objective(theta):
        weights, middle = theta[:2] / scale, theta[2]
        t = (f - f.mean(axis=0)) @ weights + middle
        aim = np.append(beta * scale, beta * rest)
        return -log_expit((2 * y - 1) * t).mean() + np.sum((theta - aim) ** 2) / (2 * len(y))

    bounds = [(0, None), (0, None), (None, None)]
    found = minimize(objective, [1, 1, 0], bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-10})
    ours = [*(model.weights * scale), model.bias + f.mean(axis=0) @ model.weights]
    assert objective(np.array(ours)) <= found.fun + 1e-12
    np.testing.assert_allclose(ours, found.x, atol=1e-3)


@pytest.mark.parametrize("name", FEATURES)
def test_equal_weights_are_a_temperature(name):
    z = np.linspace(-4, 3, 9)
    features = FEATURES[name](z)
    outside = np.array([-9.0, 0.3, 8.0])
    made = features(logs_of(outside)).sum(axis=1)
    np.testing.assert_allclose(made - outside, made[0] - outside[0], atol=1e-9)


def test_quadratic_features_are_parabolas_inside_and_lines_outside():
    features = QuadraticFeatures(-2.0, 4.0)
    z = np.linspace(-5, 8, 400)
    f = features(logs_of(z))
    slopes = np.gradient(f, z, axis=0)
    expected = np.stack([np.clip((4 - z) / 6, 0, 1), np.clip((z + 2) / 6, 0, 1)], axis=1)
    np.testing.assert_allclose(slopes[1:-1], expected[1:-1], atol=0.01)


@pytest.mark.parametrize("name", ["beta", "quadratic", "venn-abers"])
@pytest.mark.parametrize("seed", range(3))
def test_maps_never_turn_the_order_of_rows_around(name, seed):
    z, y, _ = sample(80, seed, curve=-0.8)
    fitted = CALIBRATORS[name](kind="logits").fit(z, y)
    p = fitted.predict_proba(np.linspace(-12, 12, 301))
    assert (np.diff(p) >= -1e-12).all()


def naive_venn_abers(z, y, new):
    """Both isotonic fits of every new row, by scikit-learn."""
    from sklearn.isotonic import IsotonicRegression

    fit = IsotonicRegression()
    return np.array(
        [
            [fit.fit(np.append(z, x), np.append(y, label)).predict([x])[0] for label in (0, 1)]
            for x in new
        ]
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [False, True])
def test_venn_abers_is_two_isotonic_fits_a_row(seed, ties):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 40))
    z = rng.integers(-4, 5, n) / 2 if ties else rng.standard_normal(n)
    y = rng.integers(0, 2, n)
    y[:2] = 0, 1
    new = np.concatenate([z, z + 0.25, [z.min() - 1, z.max() + 1]])
    from postproc.calibration.venn_abers import fit_venn_abers

    model = fit_venn_abers(z, y)
    expected = naive_venn_abers(z, y, new)
    np.testing.assert_allclose(model.bounds(new), expected, atol=1e-12)
    p0, p1 = expected.T
    merged = np.exp(model(logs_of(new)))
    np.testing.assert_allclose(merged[:, 1], p1 / (1 - p0 + p1), atol=1e-9)
    np.testing.assert_allclose(merged.sum(axis=1), 1)


def test_bounds_hold_the_merged_probability():
    z, y, _ = sample(300)
    fitted = postproc.VennAbersCalibration(kind="logits").fit(z, y)
    assert fitted.improved_
    p, (low, high) = fitted.predict_proba(z), fitted.predict_bounds(z).T
    assert (low <= p + 0.01).all()
    assert (p <= high + 0.01).all()
    assert (low < high).any()
    assert np.median(high - low) < 0.1


@pytest.mark.parametrize("name", CALIBRATORS)
def test_calibration_comes_close_to_the_truth(name):
    z, y, _ = sample(4000)
    new, labels, truth = sample(4000, 1)
    fitted = CALIBRATORS[name](kind="logits").fit(z, y)
    p = fitted.predict_proba(new)
    given = mean_log_loss(logs_of(new), labels)
    best = -np.log(np.where(labels == 1, truth, 1 - truth)).mean()
    assert fitted.improved_
    loss = -np.log(np.where(labels == 1, p, 1 - p)).mean()
    assert best - 0.001 < loss < best + 0.1 * (given - best)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_row_order_and_the_form_of_the_scores_do_not_matter(name):
    z, y, _ = sample(200)
    order = np.random.default_rng(1).permutation(len(y))
    one = CALIBRATORS[name](kind="logits").fit(z, y)
    other = CALIBRATORS[name](kind="logits").fit(np.stack([-z / 2, z / 2], axis=1)[order], y[order])
    two = other.predict_proba(np.stack([0 * z, z], axis=1))
    np.testing.assert_allclose(one.predict_proba(z), two[:, 1], atol=1e-7)
    probs = CALIBRATORS[name]().fit(expit(z), y)
    np.testing.assert_allclose(probs.predict_proba(expit(z)), two[:, 1], atol=1e-7)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_models_are_saved_and_loaded(name, tmp_path):
    z, y, _ = sample(400)
    fitted = CALIBRATORS[name](kind="logits").fit(z, y)
    save_model(fitted, tmp_path / "m.json")
    loaded = load_model(tmp_path / "m.json")
    np.testing.assert_array_equal(loaded.predict_proba(z), fitted.predict_proba(z))


@pytest.mark.parametrize("name", CALIBRATORS)
def test_hard_fit_splits(name):
    kind = CALIBRATORS[name]
    separated = np.array([-2.0, -1.5, -1.0, 1.0, 1.5, 2.5])
    p = kind(kind="logits").fit(separated, [0, 0, 0, 1, 1, 1]).predict_proba(separated)
    assert np.isfinite(p).all()
    one = kind(kind="logits").fit(separated, [0, 0, 0, 0, 0, 1])  # folds without a positive row
    assert np.isfinite(one.predict_proba(separated)).all()
    with pytest.warns(UserWarning, match="1 of 2 classes have no row"):
        none = kind(kind="logits").fit(separated, [0] * 6)
    assert np.isfinite(none.predict_proba(separated)).all()
    with pytest.warns(UserWarning, match="all rows"):
        kind(kind="logits").fit(np.full(6, 0.3), [0, 1] * 3)
    extreme = np.array([-400.0, -300, 350, 20, -np.inf, 0.5] * 5)
    labels = np.array([0, 1, 1, 1, 0, 1] * 5)
    assert np.isfinite(kind(kind="logits").fit(extreme, labels).predict_proba(extreme)).all()


@pytest.mark.parametrize("name", CALIBRATORS)
def test_three_classes_are_refused_in_one_line(name):
    with pytest.raises(ValueError, match="of two classes for"):
        CALIBRATORS[name]().fit(np.eye(3)[[0, 1, 2, 0]], [0, 1, 2, 0])


def test_weights_are_those_of_paired_differences():
    rng = np.random.default_rng(0)
    losses = rng.random((3, 50)) + np.array([[0.0], [0.1], [9.0]])
    apart = losses[1] - losses[0]
    z = apart.mean() / (apart.std() / np.sqrt(50))
    expected = np.array([1, np.exp(-(z**2) / 2), 0])
    np.testing.assert_allclose(evidence_weights(losses), expected / expected.sum())
    np.testing.assert_allclose(evidence_weights(np.ones((2, 5))), 0.5)


def test_the_default_weighs_calibrators_by_their_held_out_loss():
    z, y, _ = sample(1000)
    fitted = postproc.BinaryCalibration(kind="logits").fit(z, y)
    model = fitted.model_
    model = getattr(model, "model", model)
    assert isinstance(model, LinearPoolMap)
    parts = [np.exp(each(logs_of(z))) for each in model.maps]
    mixed = np.tensordot(model.weights, parts, axes=1)
    np.testing.assert_allclose(np.exp(model(logs_of(z))), mixed, atol=1e-12)
    assert "temperature" not in fitted.shares_  # it is far from the curve


def test_tensors_are_mapped_like_arrays():
    torch = pytest.importorskip("torch")
    z, y, _ = sample(300)
    for kind in CALIBRATORS.values():
        fitted = kind(kind="logits").fit(z, y)
        ours = fitted.model_(torch.tensor(logs_of(z)))
        np.testing.assert_allclose(ours.numpy(), fitted.model_(logs_of(z)), atol=1e-12)


def test_two_logs_are_finite_logs_of_the_log_odds():
    z = np.array([-800.0, -1.0, 0.0, 700.0])
    np.testing.assert_allclose(two_logs(z), logs_of(z), atol=1e-300)
