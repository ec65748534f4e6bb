"""CAN with a condensed reference: the bounds hold, the predicted classes are the exact ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from postproc import CAN, softmax, top_k_entropy
from postproc.can.bounds import TOLERANCE, Condensed, condense
from postproc.can.iterates import RowsInMemory
from postproc.can.options import CANOptions, load_can_options, save_can_options
from postproc.can.reference import Reference
from tests.oracles import alternating_normalization_loop


def dirichlet(seed, n, n_classes, concentration=0.5):
    rows = np.random.default_rng(seed).dirichlet(np.full(n_classes, concentration), n)
    return rows / rows.sum(axis=1, keepdims=True)


def build(reference, prior, alpha=1.0, iterations=3, smoothing=0.0, weights=None):
    return Reference.build(
        reference,
        prior,
        alpha=alpha,
        iterations=iterations,
        smoothing=smoothing,
        weights=weights,
        dtype=reference.dtype,
    )


def trap(seed, n, n_classes, concentration, zeros, rare, dtype):
    """Reference rows with what breaks careless code: zeros, duplicates, tiny and empty classes."""
    reference = dirichlet(seed, n, n_classes, concentration)
    reference[n // 2 :] = reference[: n - n // 2]
    reference[:, 0] *= rare
    if zeros:
        reference[reference < 0.05] = 0.0
    reference = reference[reference.sum(axis=1) > 0]
    return (reference / reference.sum(axis=1, keepdims=True)).astype(dtype)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 80),
    n_classes=st.integers(2, 12),
    concentration=st.sampled_from([0.02, 0.1, 0.5, 5.0]),
    alpha=st.sampled_from([0.3, 0.5, 1.0, 1.7, 3.0]),
    iterations=st.integers(2, 5),
    smoothing=st.sampled_from([0.0, 0.5, 2.0]),
    zeros=st.booleans(),
    rare=st.sampled_from([1.0, 1e-3, 0.0]),
    single=st.booleans(),
)
@example(6314, 2, 5, 0.1, 3.0, 4, 0.0, False, 1.0, False)  # a bound leaves the range of numbers
def test_bounds_hold_and_classes_stay(
    seed, n, n_classes, concentration, alpha, iterations, smoothing, zeros, rare, single
):
    dtype = np.float32 if single else np.float64
    reference = trap(seed, n, n_classes, concentration, zeros, rare, dtype)
    weights = np.random.default_rng(seed).uniform(0.2, 3.0, len(reference))
    rows = dirichlet(seed + 1, 20, n_classes).astype(dtype)
    prior = dirichlet(seed + 2, 1, n_classes, 5.0)[0]
    model = build(reference, prior, alpha, iterations, smoothing, weights)
    if not model.iterates.stable:
        return
    exact = model.adjust(rows)
    condensed = Condensed.build(model)
    with np.errstate(all="ignore"):
        approximate, widths, decided = condensed.bounded(rows)
    known = np.isfinite(widths)
    slack = 1e-5 if single else 1e-10
    assert (np.abs(approximate - exact).max(axis=1) <= widths + slack)[known].all()
    assert not decided[~known].any()
    np.testing.assert_array_equal(approximate.argmax(1)[decided], exact.argmax(1)[decided])
    got = condensed.adjust(rows)
    np.testing.assert_array_equal(got.argmax(axis=1), exact.argmax(axis=1))
    np.testing.assert_allclose(got, exact, atol=TOLERANCE + slack, rtol=0)


def test_agrees_with_the_loop_where_rows_are_clear():
    reference, rows = dirichlet(0, 4000, 5, 0.05), dirichlet(1, 50, 5)
    prior = dirichlet(2, 1, 5, 5.0)[0]
    condensed = Condensed.build(build(reference, prior, iterations=4))
    expected = alternating_normalization_loop(rows, reference, prior, 1.0, 4)[-1]
    got = condensed.adjust(rows)
    assert not condensed.undecided(rows).any()
    np.testing.assert_allclose(got, expected, atol=1e-6, rtol=0)


def test_one_hot_rows_make_the_bounds_meet():
    """Jensen's inequality is an equation where the reference rows do not mix classes."""
    reference = np.eye(4)[np.arange(400) % 4]
    condensed = Condensed.build(build(reference, np.full(4, 0.25), alpha=2.0, iterations=4))
    _, widths, _ = condensed.bounded(dirichlet(0, 20, 4))
    assert widths.max() < 1e-12


def test_rows_of_unclear_outcome_are_computed_exactly():
    reference, prior = dirichlet(0, 40, 4, 0.1), np.full(4, 0.25)
    model = build(reference, prior)
    rows = np.vstack([dirichlet(1, 30, 4), [[0.5, 0.5, 0, 0]]])
    condensed = Condensed.build(model)
    _, widths, decided = condensed.bounded(rows)
    unclear = ~decided | (widths > TOLERANCE)
    got = condensed.adjust(rows)
    assert 0 < unclear.sum() < len(rows)
    np.testing.assert_array_equal(condensed.undecided(rows), unclear)
    np.testing.assert_allclose(got[unclear], model.adjust(rows)[unclear], atol=1e-14, rtol=0)


def test_a_tie_is_unclear():
    """Two classes that the reference treats alike: only exact arithmetic may break the tie."""
    reference = dirichlet(0, 2000, 4, 0.05)
    reference = np.vstack([reference, reference[:, [1, 0, 2, 3]]])
    condensed = Condensed.build(build(reference, np.full(4, 0.25)))
    _, _, decided = condensed.bounded(np.array([[0.4, 0.4, 0.1, 0.1], [0.5, 0.3, 0.1, 0.1]]))
    np.testing.assert_array_equal(decided, [False, True])


def test_a_class_of_prior_zero_gets_no_mass():
    reference, rows = dirichlet(0, 3000, 4, 0.05), dirichlet(1, 20, 4)
    rows[0] = [0.0, 0.0, 0.0, 1.0]
    model = build(reference, np.array([0.5, 0.3, 0.2, 0.0]))
    got = Condensed.build(model).adjust(rows)
    np.testing.assert_array_equal(got[0], rows[0])  # no mass would be left
    assert (got[1:, 3] == 0).all()
    np.testing.assert_allclose(got, model.adjust(rows), atol=1e-5)


@pytest.mark.parametrize("alpha", [1.0, 1.5])
def test_tensors_are_as_good_as_arrays(alpha):
    reference, rows, prior = dirichlet(0, 500, 4, 0.1), dirichlet(1, 20, 4), np.full(4, 0.25)
    expected = Condensed.build(build(reference, prior, alpha)).adjust(rows)
    tensors = [torch.from_numpy(x) for x in (reference, rows, prior)]
    condensed = Condensed.build(build(tensors[0], tensors[2], alpha))
    got = condensed.adjust(tensors[1])
    assert isinstance(got, torch.Tensor)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)


def test_cost_of_a_row_does_not_grow_with_the_reference():
    """Every array that a clear row meets has C rows, however long the reference is."""
    rows = dirichlet(1, 20, 5)
    for n in (1000, 20000):
        condensed = Condensed.build(build(dirichlet(0, n, 5, 0.02), np.full(5, 0.2)))
        gone = RowsInMemory(np.empty((0, 5)), np.empty(0))
        condensed = replace(condensed, exact=replace(condensed.exact, rows=gone))  # would fail
        condensed.adjust(rows)
        assert not condensed.undecided(rows).any()
        assert [moment.shape for moment in condensed.moments] == [(5, 5)] * 2


@pytest.mark.parametrize(
    ("size", "iterations", "condensed"),
    [
        ("exact", 3, False),
        ("auto", 3, True),
        ("auto", 1, False),
        (100, 3, True),
        (101, 3, False),
    ],
)
def test_size_says_when_to_condense(size, iterations, condensed):
    model = build(dirichlet(0, 101, 5, 0.1), np.full(5, 0.2), iterations=iterations)
    assert isinstance(condense(model, size), Condensed) == condensed


def test_auto_leaves_small_references_exact():
    model = build(dirichlet(0, 100, 5, 0.1), np.full(5, 0.2))
    assert condense(model, "auto") is model


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (
            "some",
            ValueError,
            '`reference_size` must be "exact", "auto" or a number of rows, got \'some\'',
        ),
        (0, ValueError, "`reference_size` must be an integer >= 1, got 0"),
        (1.5, TypeError, "`reference_size` must be an integer >= 1, got 1.5"),
    ],
)
def test_bad_sizes_are_named(size, error, message):
    with pytest.raises(error) as said:
        CANOptions(reference_size=size).check(3)
    assert str(said.value) == message


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_real_predictions_keep_their_classes(shared_data, alpha):
    for member in ("agnews/textcnn", "trec50/minilm_lr", "hwu64/char_svm", "cifar10/lenet5"):
        val, test = (
            softmax(np.load(shared_data / f"{member}.{split}.npy").astype(np.float32))
            for split in ("val", "test")
        )
        n_classes = val.shape[1]
        confident = val[top_k_entropy(val, 3) < 0.7]
        rows = test[top_k_entropy(test, 3) >= 0.5][:100]
        model = build(confident, np.full(n_classes, 1 / n_classes), alpha)
        got, exact = Condensed.build(model).adjust(rows), model.adjust(rows)
        np.testing.assert_array_equal(got.argmax(axis=1), exact.argmax(axis=1))
        np.testing.assert_allclose(got, exact, atol=TOLERANCE + 1e-5, rtol=0)


def test_options_reach_the_model_and_the_configuration(tmp_path):
    probs = dirichlet(0, 400, 4, 0.1)
    options = {"prior": "uniform", "iterations": 3, "threshold": 0.7}
    exact = CAN(**options).fit(probs)
    can = CAN(**options, reference_size=100).fit(probs)
    assert isinstance(exact.model_.reference, Reference)
    assert isinstance(can.model_.reference, Condensed)
    np.testing.assert_array_equal(can.predict(probs), exact.predict(probs))
    save_can_options(tmp_path / "can.json", CANOptions(reference_size="auto"))
    assert load_can_options(tmp_path / "can.json").reference_size == "auto"


def test_blocks_of_a_stream_are_condensed_too(tmp_path, run_cli):
    np.save(tmp_path / "preds.npy", dirichlet(0, 400, 4, 0.1))
    common = (tmp_path / "preds.npy", "--prior", "uniform", "--iterations", 3, "--threshold", 0.7)
    results = []
    for size, condensed in (("exact", False), ("auto", True), (100, True), (1000, False)):
        out = tmp_path / f"{size}.npy"
        said = run_cli("can", *common, "--reference-size", size, "-o", out, "--json")
        assert json.loads(said.stdout)["condensed"] == condensed
        results.append(np.load(out).argmax(axis=1))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
