"""CAN read block by block is CAN, however rows are cut."""

import pickle
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postproc.can.model import CANModel
from postproc.can.options import CANOptions
from postproc.can.streaming.adjust import AdjustRows
from postproc.can.streaming.fit import fit_can
from postproc.can.streaming.rows import ProbabilityRows
from postproc.jobs.engine import map_blocks
from postproc.jobs.memory import available_bytes
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, in_order
from postproc.scores.predictions import Predictions
from tests.postproc.shuffled import Shuffled


def predictions(n=300, n_classes=6, dtype=np.float64, seed=0, concentration=0.2):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(n_classes, concentration), n).astype(dtype)
    return Predictions.check(probs / probs.sum(axis=1, keepdims=True), kind="probs")


def both(given, prior, options, block=DEFAULT_SIZES.block):
    """The model in one piece and the model by blocks, and what each makes of the rows."""
    whole = CANModel.fit([given.probabilities()], prior, options)
    rows = ProbabilityRows(given, sizes=Sizes(block=block))
    model = fit_can(rows, prior, options, in_order)
    adjusted = np.concatenate([AdjustRows(rows, model)(cut)[0] for cut in rows.cuts()])
    return whole, model, whole.adjust(given.probabilities())[0], adjusted


@settings(max_examples=60)
@given(
    n=st.integers(1, 60),
    block=st.integers(1, 20),
    alpha=st.sampled_from([0.3, 1.0, 2.0, 40.0]),
    iterations=st.integers(1, 3),
    smoothing=st.sampled_from([0.0, 0.5]),
    threshold=st.sampled_from([0.0, 0.3, 0.9, np.inf]),
    dtype=st.sampled_from([np.float32, np.float64]),
    barred=st.booleans(),
    seed=st.integers(0, 20),
)
def test_by_blocks_is_as_in_one_piece(
    n, block, alpha, iterations, smoothing, threshold, dtype, barred, seed
):
    given = predictions(n, dtype=dtype, seed=seed)
    prior = np.array([0.0 if barred else 2.0, 1, 1, 3, 1, 2])
    prior /= prior.sum()
    options = CANOptions(
        alpha=alpha, iterations=iterations, smoothing=smoothing, threshold=threshold
    )
    whole, model, wanted, got = both(given, prior, options, 8 * 6 * block)
    assert model.n_confident == whole.n_confident
    np.testing.assert_allclose(model.confident_mass, whole.confident_mass, rtol=1e-6, atol=1e-12)
    assert got.dtype == dtype
    tolerance = 1e-12 if dtype == np.float64 else 2e-6
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


def test_small_entries_are_not_lost_to_a_large_exponent():
    rows = np.array([[1 - 2e-9, 1e-9, 1e-9], [1e-9, 1 - 1.1e-9, 1e-10], [0.4, 0.3, 0.3]])
    given = Predictions.check(rows, kind="probs")
    _, _, wanted, got = both(given, np.full(3, 1 / 3), CANOptions(alpha=50.0), block=24)
    np.testing.assert_allclose(got, wanted, rtol=1e-9)


@pytest.mark.parametrize("blocks", [1, 7, 1000])
@pytest.mark.parametrize("iterations", [1, 3])
def test_results_do_not_depend_on_how_rows_are_cut(blocks, iterations):
    given = predictions(1000, 4, seed=5)
    prior = np.array([0.4, 0.3, 0.2, 0.1])
    options = CANOptions(iterations=iterations)
    wanted = both(given, prior, options)[3]
    block = 8 * 4 * (-(-1000 // blocks))
    assert len(ProbabilityRows(given, sizes=Sizes(block=block)).cuts()) == blocks
    got = both(given, prior, options, block)[3]
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("block", [37, 10_000])
def test_the_stratified_sample_is_that_of_one_piece(block):
    given = predictions(3000, 4, seed=2)
    prior = np.full(4, 0.25)
    options = CANOptions(reference_sample="stratified", iterations=2)
    whole, model, wanted, got = both(given, prior, options, 8 * 4 * block)
    assert model.n_confident == whole.n_confident > 1000
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_multilabel_samples_pick_two_class_rows():
    rng = np.random.default_rng(1)
    given = Predictions.check(rng.beta(0.2, 0.3, (900, 3)), kind="probs", multilabel=True)
    rows = ProbabilityRows(given, multilabel=True, sizes=Sizes(block=8 * 3 * 100))
    prior, options = np.array([0.3, 0.7]), CANOptions(reference_sample="stratified")
    whole = CANModel.fit([rows(slice(0, 900))], prior, options)
    model = fit_can(rows, prior, options, in_order)
    got = AdjustRows(rows, model)(slice(100, 200))[0]
    wanted = whole.adjust(rows(slice(100, 200)))[0][:, 0].reshape(-1, 3)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_one_iteration_needs_no_rows():
    rows = ProbabilityRows(predictions(20_000, 6), sizes=Sizes(block=8 * 6 * 100))
    model = fit_can(rows, np.full(6, 1 / 6), CANOptions(), in_order)
    assert model.n_confident > 5_000
    assert len(pickle.dumps(model)) < 10_000


def test_a_reference_that_does_not_fit_on_a_device_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr("postproc.can.streaming.fit.available_bytes", lambda: 8 * 6 * 5 * 150)
    sizes = Sizes(block=8 * 6 * 100)
    rows = ProbabilityRows(predictions(2000, 6), device="cpu:0", sizes=sizes)  # tensors
    read = []

    def over(part, cuts, what):
        for cut in cuts:
            read.append(cut)
            yield part(cut)

    with pytest.raises(ValueError, match=r"at most 150 confident rows.*--preset paper-code"):
        fit_can(rows, np.full(6, 1 / 6), CANOptions(iterations=2), over)
    assert len(read) < 10
    sampled = CANOptions(iterations=2, reference_sample="stratified")
    fit_can(rows, np.full(6, 1 / 6), sampled, over)


def test_the_order_in_which_blocks_come_does_not_matter():
    given = predictions(500, 6)
    prior = np.full(6, 1 / 6)
    fitted = [
        fit_can(
            ProbabilityRows(given, sizes=Sizes(block=8 * 6 * 20)),
            prior,
            CANOptions(alpha=1.7),
            partial(map_blocks, Shuffled(seed)),
        )
        for seed in (0, 1)
    ]
    a, b = (model.adjust(given.probabilities())[0] for model in fitted)
    np.testing.assert_array_equal(a, b)


def test_available_memory_is_plausible():
    found = available_bytes()
    assert found is None or 2**20 < found < 2**50
