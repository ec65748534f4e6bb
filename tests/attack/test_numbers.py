"""Extreme numbers against the equations in arithmetic of 60 digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

import postproc
from ensemble import log_pool
from postproc.calibration.affine import temper

mp = mpmath.mp.clone()
mp.dps = 60

#: Scales of logits, from rows that are all alike to rows that are certain.
SCALES = [1e-320, 1e-30, 1e-8, 1.0, 1e3, 1e30, 1e300]
DTYPES = ["float64", "float32", "float16", "bfloat16"]


def logits_of(scale, dtype, n_classes):
    """Rows of a torch dtype that it can hold, and the same numbers in float64."""
    rng = np.random.default_rng(n_classes)
    kind = getattr(torch, dtype)
    scale = min(scale, torch.finfo(kind).max / 10)
    narrow = torch.from_numpy(scale * rng.standard_normal((3, n_classes))).to(kind)
    return narrow, narrow.double().numpy()


def softmax_of(row, beta=1):
    """Softmax(β z) and its logarithm, as lists of mpf."""
    row = [mp.mpf(float(value)) * mp.mpf(float(beta)) for value in row]
    top = max(row)
    total = mp.fsum(mp.exp(value - top) for value in row)
    logs = [value - top - mp.log(total) for value in row]
    return [mp.exp(value) for value in logs], logs


def as_floats(values):
    return np.array([[float(value) for value in row] for row in values])


@pytest.mark.parametrize("n_classes", [2, 7])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", SCALES)
def test_softmax_and_its_logarithm(scale, dtype, n_classes):
    narrow, wide = logits_of(scale, dtype, n_classes)
    probs, logs = (as_floats(part) for part in zip(*map(softmax_of, wide), strict=True))
    eps = 1e-12 if dtype == "float64" else 1e-5
    given = wide if dtype == "float64" else narrow
    found = [np.asarray(f(given)) for f in (postproc.softmax, postproc.log_softmax)]
    np.testing.assert_allclose(found[0], probs, rtol=eps, atol=1e-35)
    np.testing.assert_allclose(found[1], logs, rtol=eps, atol=eps)


def test_softmax_of_many_classes():
    _, wide = logits_of(30.0, "float64", 5000)
    probs, logs = (as_floats(part) for part in zip(*map(softmax_of, wide), strict=True))
    np.testing.assert_allclose(postproc.softmax(wide), probs, rtol=1e-11)
    np.testing.assert_allclose(postproc.log_softmax(wide), logs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("beta", [1e-12, 0.01, 1.0, 50.0, 1e12])
def test_temperatures(beta):
    logs = np.log(np.random.default_rng(0).dirichlet(np.full(5, 0.1), 4) + 1e-300)
    wanted = as_floats([softmax_of(row, beta)[1] for row in logs])
    np.testing.assert_allclose(temper(beta, logs), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 40.0])
def test_log_pools(scale):
    rng = np.random.default_rng(1)
    members = [scale * rng.standard_normal((4, 6)) for _ in range(3)]
    weights = np.array([0.01, 1.0, 50.0])
    wanted = []
    for row in range(4):
        logs = [softmax_of(member[row])[1] for member in members]
        shares = [mp.mpf(float(w)) / mp.mpf(float(weights.sum())) for w in weights]
        columns = zip(*logs, strict=True)
        pooled = [mp.fsum(map(mp.fmul, shares, column)) for column in columns]
        total = mp.fsum(map(mp.exp, pooled))
        wanted.append([mp.exp(value) / total for value in pooled])
    found = log_pool(members, weights=weights, kinds="logits")
    np.testing.assert_allclose(found, as_floats(wanted), rtol=1e-11)


def step_by_step(row, reference, prior, alpha, iterations):
    """CAN of one row as in the paper, in mpf."""
    rows = [[mp.mpf(float(value)) for value in each] for each in (*reference, row)]
    prior = [mp.mpf(float(share)) for share in prior]
    prior = [share / mp.fsum(prior) for share in prior]
    for _ in range(iterations):
        rows = [[value ** mp.mpf(float(alpha)) for value in each] for each in rows]
        columns = [mp.fsum(column) for column in zip(*rows, strict=True)]
        rows = [[v / c * q for v, c, q in zip(each, columns, prior, strict=True)] for each in rows]
        rows = [[value / mp.fsum(each) for value in each] for each in rows]
    return rows[-1]


PRIORS = {"even": [1, 1, 1, 1], "skewed": [1, 1e-3, 1e-6, 1e-12]}


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize(
    ("alpha", "iterations"), [(0.01, 1), (0.01, 100), (1, 1), (1, 100), (2, 5), (50, 1), (50, 2)]
)
@pytest.mark.parametrize("kind", ["plain", "denormal", "alike", "one reference row"])
def test_can(kind, alpha, iterations, prior):
    rng = np.random.default_rng(3)
    rows = rng.dirichlet(np.ones(4), 2)
    reference = rng.dirichlet(np.full(4, 0.5), 1 if kind == "one reference row" else 5)
    if kind == "denormal":
        reference[:, 0] = 5e-324
        rows[0, 1] = 1e-310
    if kind == "alike":
        reference[:] = rows[:] = rows[0]
    q = np.array(PRIORS[prior])
    options = {"alpha": alpha, "iterations": iterations}
    found = postproc.alternating_normalization(rows, reference, q, **options)
    wanted = as_floats([step_by_step(row, reference, q, alpha, iterations) for row in rows])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 5000])
@pytest.mark.parametrize("n_rows", [0, 1])
def test_can_on_few_rows(n_rows, n_classes):
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.ones(n_classes), n_rows)
    reference = rng.dirichlet(np.ones(n_classes), 2)
    prior = np.ones(n_classes)
    found = postproc.alternating_normalization(rows, reference, prior)
    assert found.shape == (n_rows, n_classes)
    if n_rows:
        stacked = np.vstack([reference, rows])
        wanted = (rows / stacked.sum(axis=0))[-1]
        np.testing.assert_allclose(found[0], wanted / wanted.sum(), rtol=1e-10)


@pytest.mark.parametrize("least", [1e-3, 1e-12])
def test_em_reaches_the_fixed_point_of_its_equation(least):
    rng = np.random.default_rng(2)
    probs = rng.dirichlet(np.full(3, 0.3), 200)
    source = np.array([1.0, 0.5, least])
    source /= source.sum()
    found = postproc.em_prior(probs, source, max_iter=10_000, tol=1e-13).prior
    ratios = [[mp.mpf(float(p)) / mp.mpf(float(s)) for p, s in zip(row, source, strict=True)]
              for row in probs]  # fmt: skip
    q = [mp.mpf(float(share)) for share in found]
    again = [mp.mpf(0)] * 3
    for row in ratios:
        total = mp.fsum(r * share for r, share in zip(row, q, strict=True))
        again = [a + r * s / total for a, r, s in zip(again, row, q, strict=True)]
    np.testing.assert_allclose([float(a / 200) for a in again], found, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 1e-30, 1e30])
def test_rows_that_are_all_alike(value):
    logits = np.full((9, 4), value)
    np.testing.assert_allclose(postproc.softmax(logits), 0.25)
    labels = np.arange(9) % 4
    with pytest.warns(UserWarning, match="all rows of the fit split are the same"):
        scaling = postproc.TemperatureScaling(kind="logits").fit(logits, labels)
    np.testing.assert_allclose(scaling.predict_proba(logits), 0.25)
    prior = postproc.em_prior(np.full((9, 4), 0.25), np.ones(4)).prior
    np.testing.assert_allclose(prior, 0.25)
