"""Logits of -inf are probabilities of exactly 0, in every method."""

import numpy as np
import pytest

import ensemble
import postproc

N_ROWS, N_CLASSES = 90, 4
UNIFORM = np.full(N_CLASSES, 0.25)


@pytest.fixture(scope="module")
def task():
    """Logits with -inf, the same as probabilities, logits of another member, and labels."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, N_CLASSES, N_ROWS)
    logits, other = (rng.normal(size=(N_ROWS, N_CLASSES)) + 2 * np.eye(N_CLASSES)[y] for _ in "ab")
    impossible = rng.random((N_ROWS, N_CLASSES)) < 0.2
    impossible[np.arange(N_ROWS), logits.argmax(1)] = False
    assert impossible[np.arange(N_ROWS), y].any()
    masked = np.where(impossible, -np.inf, logits)
    probs = np.exp(masked) / np.exp(masked).sum(axis=1, keepdims=True)
    return masked, probs, other, y


def pooled(name):
    return lambda scores, other, y: getattr(ensemble, name)([scores, other])


def fitted(name, **options):
    def run(scores, other, y):
        members = [scores, other]
        return getattr(ensemble, name)(**options).fit(members, y).predict_proba(members)

    return run


def calibrated(name):
    return lambda scores, other, y: getattr(postproc, name)().fit(scores, y).predict_proba(scores)


def normalized(**options):
    def run(scores, other, y):
        return postproc.CAN(prior=UNIFORM, **options).fit(scores).predict_proba(scores)

    return run


METHODS = {
    **{n: pooled(n) for n in ("soft_vote", "hard_vote", "log_pool", "median_vote", "rank_vote")},
    **{n: fitted(n) for n in ("LearnedLogPool", "GreedySelection", "Stacking", "CalibratedVoting")},
    "DevilsAdvocate": fitted("DevilsAdvocate", seed=0, epochs=2, seeds=1),
    **{
        name: calibrated(name)
        for name in ("TemperatureScaling", "BiasCorrectedTemperatureScaling", "PooledScaling")
    },
    "CAN": normalized(),
    "CAN in three steps": normalized(iterations=3, alpha=2, smoothing=1),
}


@pytest.mark.filterwarnings("ignore:probabilities of exactly 0")
@pytest.mark.parametrize("method", METHODS)
def test_minus_infinity_is_a_probability_of_zero(task, method):
    masked, probs, other, y = task
    found = np.asarray(METHODS[method](masked, other, y))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, METHODS[method](probs, other, y), atol=1e-9)
