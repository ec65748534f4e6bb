"""Parts of adaptation that run block by block: against the functions on whole arrays."""

from functools import partial

import numpy as np
import pytest

from postproc import (
    BiasCorrectedTemperatureScaling,
    ResidualMatrixScaling,
    bbse_prior,
    em_prior,
    joint_normalization,
    no_shift_test,
    reweight,
    softmax,
)
from postproc.jobs.cuda import DeviceEngine
from postproc.jobs.engine import LocalEngine, map_blocks
from postproc.scores.predictions import Predictions
from postproc.shift.bbse import one_hot_winners, solve_confusion
from postproc.shift.evidence import PredictionMoments, compare_moments
from postproc.shift.prior import estimate_prior
from postproc.shift.reweight import match_columns, prior_factors
from postproc.shift.streaming import (
    AdaptedRows,
    CalibratedRows,
    ReadRows,
    target_likelihood,
    target_moments,
)

#: A device of torch that is there on every machine, and NumPy.
DEVICES = ("cpu", "cpu:0")


@pytest.fixture
def task():
    rng = np.random.default_rng(3)
    y = rng.choice(4, 600, p=[0.4, 0.3, 0.2, 0.1])
    scores = rng.normal(size=(600, 4)) + 2.0 * np.eye(4)[y]
    return scores, y


def engine_of(device):
    return LocalEngine() if device == "cpu" else DeviceEngine(device)


def passes(device):
    return partial(map_blocks, engine_of(device))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("calibrator", [BiasCorrectedTemperatureScaling, ResidualMatrixScaling])
def test_calibrated_blocks_are_those_of_the_estimator(task, device, calibrator):
    scores, y = task
    with pytest.warns(UserWarning, match="1 of 4 classes have no row"):
        fitted = calibrator(kind="logits").fit(scores[:300], np.minimum(y[:300], 2))
    part = CalibratedRows(Predictions(scores[300:], "logits"), fitted.model_, device)
    blocks = [block for block, _ in passes(device)(part, [slice(0, 77), slice(77, 300)])]
    np.testing.assert_allclose(
        np.concatenate(blocks), fitted.predict_proba(scores[300:]), atol=1e-12
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("step", [1, 100, 1000])
def test_sums_do_not_depend_on_cuts_or_device(task, device, step):
    scores, y = task
    probs, fit = softmax(scores[300:]), softmax(scores[:300])
    source = fit.mean(axis=0)
    cuts = [slice(a, min(a + step, 300)) for a in range(0, 300, step)]
    read, over = ReadRows(Predictions(probs, "probs"), cuts, device), passes(device)

    moments = target_moments(read, over, "")
    whole = PredictionMoments.of(probs)
    np.testing.assert_allclose(moments.mean, whole.mean, atol=1e-14)
    np.testing.assert_allclose(moments.scatter, whole.scatter, atol=1e-11)
    np.testing.assert_allclose(moments.standard_error, probs.std(axis=0) / np.sqrt(300))
    test = compare_moments(moments, PredictionMoments.of(fit))
    assert test.p_value == pytest.approx(no_shift_test(probs, fit).p_value, rel=1e-9)

    ratios = prior_factors(source, np.ones(4))
    likelihood = target_likelihood(read, ratios, over, "")
    found = estimate_prior(likelihood, source, np.zeros(4), max_iter=1000, tol=1e-6)
    expected = em_prior(probs, source)
    np.testing.assert_allclose(found.prior, expected.prior, atol=1e-12)
    np.testing.assert_allclose(found.std, expected.std, atol=1e-10)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood)

    factors = match_columns(target_likelihood(read, np.ones(4), over, ""), source, 0.7)
    part = AdaptedRows(CalibratedRows(Predictions(probs, "probs"), None, device), factors)
    np.testing.assert_allclose(
        np.concatenate([block for block, _ in over(part, cuts)]),
        joint_normalization(probs, source, strength=0.7),
        atol=1e-9,
    )
    winners = target_moments(read, over, "", one_hot_winners)
    hard = solve_confusion(winners, one_hot_winners(fit), y[:300], n_bootstrap=2, seed=0)
    expected = bbse_prior(probs, fit, y[:300], soft=False, n_bootstrap=2)
    np.testing.assert_allclose(hard.prior, expected.prior, atol=1e-12)


def test_adapted_rows_count_what_changed(task):
    scores, _ = task
    probs, target = softmax(scores), np.array([0.1, 0.1, 0.1, 0.7])
    source = probs.mean(axis=0)
    part = AdaptedRows(
        CalibratedRows(Predictions(scores, "logits"), None), prior_factors(source, target)
    )
    block, stats = part(slice(10, 400))
    np.testing.assert_allclose(block, reweight(probs, source, target)[10:400], atol=1e-14)
    changed = (block.argmax(axis=1) != scores[10:400].argmax(axis=1)).sum()
    assert stats == {"changed": changed}
    assert changed > 0
