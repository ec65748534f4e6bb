"""The pure operation of CAN against the loop of the paper, golden vectors, traps, invariances."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postproc import alternating_normalization
from postproc.can import Reference
from postproc.scores.blocks import Sizes
from tests.oracles import alternating_normalization_loop

REFERENCE = [[0.2, 0.0, 0.8], [0.9, 0.1, 0.0], [0.0, 0.0, 1.0]]
ROW = [[0.5, 0.0, 0.5]]
PRIOR = [0.8, 0.1, 0.1]
GOLDEN = {
    (0.5, 1): [0.908227, 0.0, 0.091773],
    (0.5, 2): [0.940035, 0.0, 0.059965],
    (0.5, 3): [0.945908, 0.0, 0.054092],
    (0.5, 5): [0.946930, 0.0, 0.053070],
    (1.0, 1): [0.920000, 0.0, 0.080000],
    (1.0, 2): [0.980251, 0.0, 0.019749],
    (1.0, 3): [0.993982, 0.0, 0.006018],
    (1.0, 5): [0.999356, 0.0, 0.000644],
    (2.0, 1): [0.932182, 0.0, 0.067818],
    (2.0, 2): [0.999074, 0.0, 0.000926],
    (2.0, 3): [1.0, 0.0, 0.0],
    (2.0, 5): [1.0, 0.0, 0.0],
}


def dirichlet(seed, n, n_classes, concentration=0.5):
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(n_classes, concentration), n)
    return rows / rows.sum(axis=1, keepdims=True)


def build(reference, prior, alpha=1.0, iterations=3, **options):
    return Reference.build(
        reference, prior, alpha=alpha, iterations=iterations, smoothing=0.0, weights=None,
        dtype=reference.dtype, **options,
    )  # fmt: skip


@pytest.mark.parametrize(("alpha", "iterations"), GOLDEN)
def test_golden_vectors(alpha, iterations):
    got = alternating_normalization(ROW, REFERENCE, PRIOR, alpha=alpha, iterations=iterations)
    np.testing.assert_allclose(got, [GOLDEN[alpha, iterations]], atol=5e-7)


def test_golden_vector_of_one_reference_row():
    got = alternating_normalization([[0.5, 0.5]], [[0.0, 1.0]], [0.5, 0.5])
    np.testing.assert_array_equal(got, [[0.75, 0.25]])


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 40),
    k=st.integers(0, 8),
    n_classes=st.integers(2, 15),
    concentration=st.sampled_from([0.05, 0.3, 1.0, 10.0]),
    alpha=st.floats(0.1, 9.0),
    iterations=st.integers(1, 5),
    single=st.booleans(),
    tensor=st.booleans(),
    zeros=st.booleans(),
)
def test_agrees_with_the_loop(
    seed, n, k, n_classes, concentration, alpha, iterations, single, tensor, zeros
):
    reference = dirichlet(seed, n, n_classes, concentration)
    rows = dirichlet(seed + 1, k, n_classes)
    prior = dirichlet(seed + 2, 1, n_classes, 5.0)[0]
    if zeros:
        reference, rows = (np.where(x < 0.05, 0.0, x) for x in (reference, rows))
        reference = reference[reference.sum(axis=1) > 0]
        rows = rows[rows.sum(axis=1) > 0]
    dtype = np.float32 if single else np.float64
    reference, rows = reference.astype(dtype), rows.astype(dtype)
    expected = alternating_normalization_loop(rows, reference, prior, alpha, iterations)
    if tensor:
        rows, reference = torch.from_numpy(rows), torch.from_numpy(reference)
    got = alternating_normalization(
        rows, reference, prior, alpha=alpha, iterations=iterations, all_iterations=True
    )
    assert isinstance(got, torch.Tensor) == tensor
    got = np.asarray(got)
    assert got.dtype == dtype
    # The loop itself loses terms where a power leaves the range of floats.
    kept = _loop_is_exact(rows, reference, prior, alpha, iterations)
    # Rounding of one iteration is raised to α in each that follows.
    growth = max(1.0, alpha ** (iterations - 1) / 50)
    tolerance = 2e-6 if single else 1e-12 * growth
    np.testing.assert_allclose(got[:, kept], expected[:, kept], atol=tolerance, rtol=0)
    np.testing.assert_allclose(got.sum(axis=-1), 1.0, atol=1e-5 if single else 1e-12)


def _loop_is_exact(rows, reference, prior, alpha, iterations):
    """Rows for which float64 and long double agree, so that the loop can serve as the oracle."""
    from tests import oracles

    rows, reference = np.asarray(rows, float), np.asarray(reference, float)
    narrow = oracles.alternating_normalization_loop(rows, reference, prior, alpha, iterations)
    exact = log_loop(rows, reference, np.asarray(prior), alpha, iterations)
    growth = max(1.0, alpha ** (iterations - 1))
    return np.abs(narrow - exact).max(axis=(0, 2), initial=0.0) < 1e-14 * growth


def log_loop(rows, reference, prior, alpha, iterations):
    """The same loop in logarithms and long doubles, where nothing underflows."""
    if len(reference) == 0:
        reference = np.eye(rows.shape[1])
    depths = np.empty((iterations, *rows.shape))
    with np.errstate(divide="ignore"):
        log_prior = np.log((prior / prior.sum()).astype(np.longdouble))
        for number, row in enumerate(rows):
            logs = np.log(np.vstack([reference, row]).astype(np.longdouble))
            for depth in range(iterations):
                logs = logs * alpha
                logs = logs - log_sum(logs, 0) + log_prior
                logs = logs - log_sum(logs, 1)
                depths[depth, number] = np.exp(logs[-1])
    return depths


def log_sum(logs, axis):
    top = logs.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    total = np.exp(logs - top).sum(axis=axis, keepdims=True)
    return np.where(total > 0, top + np.log(np.where(total > 0, total, 1)), 0.0)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 9.0])
@pytest.mark.parametrize("scale", [1e-30, 1e-100, 1e-300])
def test_powers_beyond_the_range_of_floats_lose_nothing(alpha, scale):
    rng = np.random.default_rng(0)
    reference = rng.random((6, 4))
    reference[:, 1] *= scale  # a class of tiny mass everywhere
    reference[2] = [scale, scale**0.5, scale, 1.0]
    reference /= reference.sum(axis=1, keepdims=True)
    rows = np.vstack([dirichlet(1, 3, 4), [[1 - scale, scale, 0.0, 0.0]]])
    prior = np.full(4, 0.25)
    expected = log_loop(rows, reference, prior, alpha, 5)
    got = alternating_normalization(
        rows, reference, prior, alpha=alpha, iterations=5, all_iterations=True
    )
    np.testing.assert_allclose(got, expected, atol=1e-9)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_powers_whose_exponents_leave_the_range_of_floats_have_settled(dtype):
    rows, reference, prior = dirichlet(0, 5, 4), dirichlet(1, 12, 4), [0.4, 0.3, 0.2, 0.1]
    settled = alternating_normalization_loop(rows, reference, prior, 3.0, 40)[-1]
    got = alternating_normalization(
        rows.astype(dtype), reference.astype(dtype), prior, alpha=3.0, iterations=700
    )
    assert got.dtype == dtype
    np.testing.assert_allclose(got, settled, atol=1e-12)


def test_float32_with_tiny_columns_is_as_good_as_float64():
    reference = dirichlet(0, 50, 6).astype(np.float32)
    reference[:, 0] *= 1e-30
    rows = dirichlet(1, 20, 6).astype(np.float32)
    expected = alternating_normalization_loop(rows, reference, np.full(6, 1 / 6), 1.0, 4)[-1]
    got = alternating_normalization(rows, reference, np.full(6, 1 / 6), iterations=4)
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_all_depths_come_out_of_one_pass():
    rows, reference = dirichlet(0, 5, 4), dirichlet(1, 9, 4)
    depths = alternating_normalization(
        rows, reference, [*PRIOR, 0.2], iterations=4, all_iterations=True
    )
    for depth in range(4):
        alone = alternating_normalization(rows, reference, [*PRIOR, 0.2], iterations=depth + 1)
        np.testing.assert_array_equal(depths[depth], alone)


def test_a_class_without_mass_in_the_reference_takes_its_prior():
    got = alternating_normalization([[0.9, 0.1, 0.0]], [[0.5, 0.0, 0.5]], [0.2, 0.6, 0.2])
    expected = alternating_normalization_loop(
        [[0.9, 0.1, 0.0]], [[0.5, 0.0, 0.5]], [0.2, 0.6, 0.2], 1.0, 1
    )[-1]
    np.testing.assert_allclose(got, expected, atol=1e-15)
    assert got[0].argmax() == 1


def test_smoothing_is_one_hot_pseudo_rows():
    rows, reference, prior = dirichlet(0, 4, 3), dirichlet(1, 6, 3), [0.5, 0.2, 0.3]
    expected = alternating_normalization_loop(rows, reference, prior, 1.5, 3, smoothing=2)[-1]
    got = alternating_normalization(rows, reference, prior, alpha=1.5, iterations=3, smoothing=2.0)
    np.testing.assert_allclose(got, expected, atol=1e-13)


def test_weights_count_rows():
    rows, reference = dirichlet(0, 4, 3), dirichlet(1, 3, 3)
    repeated = np.repeat(reference, [1, 3, 2], axis=0)
    expected = alternating_normalization(rows, repeated, PRIOR, alpha=2, iterations=3)
    got = alternating_normalization(
        rows, reference, PRIOR, alpha=2, iterations=3, weights=[1, 3, 2]
    )
    np.testing.assert_allclose(got, expected, atol=1e-13)


def test_an_empty_reference_is_the_identity():
    rows = dirichlet(0, 3, 4)
    got = alternating_normalization(rows, np.empty((0, 4)), np.full(4, 0.25), iterations=2)
    expected = alternating_normalization(rows, np.eye(4), np.full(4, 0.25), iterations=2)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("alpha", [1.0, 2.0])
@pytest.mark.parametrize("iterations", [1, 3])
def test_a_reference_without_mass_in_the_classes_of_the_prior(alpha, iterations):
    prior, rows = [0.0, 0.6, 0.4], [[0.2, 0.3, 0.5], [0.1, 0.9, 0.0]]
    got = alternating_normalization(
        rows, [[1.0, 0.0, 0.0]], prior, alpha=alpha, iterations=iterations
    )
    np.testing.assert_allclose(got, [[0.0, 0.6, 0.4], [0.0, 1.0, 0.0]], atol=1e-15)


def test_no_ambiguous_rows_give_none():
    assert alternating_normalization(np.empty((0, 3)), REFERENCE, PRIOR).shape == (0, 3)


def test_integer_input_is_computed_in_float64():
    got = alternating_normalization([[1, 1, 0]], [[0, 0, 1], [1, 0, 0]], PRIOR)
    assert got.dtype == np.float64
    expected = alternating_normalization_loop([[1, 1, 0]], [[0, 0, 1], [1, 0, 0]], PRIOR, 1, 1)
    np.testing.assert_allclose(got, expected[-1], atol=1e-15)


def test_a_class_of_prior_zero_gets_no_mass():
    rows, reference = dirichlet(0, 4, 3), dirichlet(1, 6, 3)
    got = alternating_normalization(rows, reference, [0.5, 0.5, 0.0], iterations=3)
    assert (got[:, 2] == 0).all()
    np.testing.assert_allclose(got.sum(axis=1), 1.0)


def test_a_row_that_would_have_no_mass_left_stays_as_it_was():
    rows = [[0.0, 0.0, 1.0], [0.5, 0.25, 0.25]]
    got = alternating_normalization(rows, REFERENCE, [0.5, 0.5, 0.0], iterations=2)
    np.testing.assert_array_equal(got[0], [0.0, 0.0, 1.0])
    assert got[1, 2] == 0


def test_two_classes_and_one_row_work():
    got = alternating_normalization([[0.6, 0.4]], [[0.9, 0.1]], [0.5, 0.5], iterations=3)
    expected = alternating_normalization_loop([[0.6, 0.4]], [[0.9, 0.1]], [0.5, 0.5], 1.0, 3)[-1]
    np.testing.assert_allclose(got, expected, atol=1e-15)


def test_order_of_rows_does_not_matter():
    rows, reference = dirichlet(0, 6, 5), dirichlet(1, 20, 5)
    order, shuffle = np.random.default_rng(0).permutation(6), np.random.default_rng(1)
    got = alternating_normalization(rows, reference, np.ones(5), iterations=4)
    again = alternating_normalization(
        rows[order], shuffle.permutation(reference), np.ones(5), iterations=4
    )
    np.testing.assert_allclose(again, got[order], atol=1e-14)


def test_names_of_classes_do_not_matter():
    rows, reference, prior = dirichlet(0, 6, 5), dirichlet(1, 20, 5), dirichlet(2, 1, 5)[0]
    order = np.random.default_rng(0).permutation(5)
    got = alternating_normalization(rows, reference, prior, alpha=0.7, iterations=3)
    again = alternating_normalization(
        rows[:, order], reference[:, order], prior[order], alpha=0.7, iterations=3
    )
    np.testing.assert_allclose(again, got[:, order], atol=1e-14)


def test_cutting_into_blocks_does_not_matter():
    rows, reference = dirichlet(0, 50, 5), dirichlet(1, 20, 5)
    whole = alternating_normalization(rows, reference, np.ones(5), iterations=3)
    each = [
        alternating_normalization(row[None], reference, np.ones(5), iterations=3) for row in rows
    ]
    np.testing.assert_allclose(np.concatenate(each), whole, atol=1e-14)
    sizes = Sizes(summed=8 * 5 * 3, rows_together=(1, 7))
    again = build(reference, np.ones(5), iterations=3, sizes=sizes).adjust(rows)
    np.testing.assert_allclose(again, whole, atol=1e-14)


def test_rows_of_another_scale_are_another_row():
    """Only the prior is scaled: the operation does not renormalize b on the way in."""
    got = alternating_normalization([[1.0, 1.0]], [[0.0, 1.0]], [0.5, 0.5])
    expected = alternating_normalization_loop([[1.0, 1.0]], [[0.0, 1.0]], [0.5, 0.5], 1, 1)[-1]
    np.testing.assert_allclose(got, expected, atol=1e-15)


def test_input_is_left_alone():
    rows, reference = dirichlet(0, 6, 5), dirichlet(1, 20, 5)
    copies = rows.copy(), reference.copy()
    alternating_normalization(rows, reference, np.ones(5), alpha=2.0, iterations=3)
    np.testing.assert_array_equal(rows, copies[0])
    np.testing.assert_array_equal(reference, copies[1])


@pytest.mark.parametrize(
    ("dtype", "iterations", "plain"),
    [("f8", 100, True), ("f8", 400, False), ("f4", 10, True), ("f4", 50, False)],
)
def test_factors_that_leave_their_range_give_way_to_matrices(dtype, iterations, plain):
    """The zeros leave no reference of these sums, so that its factors grow without end."""
    reference = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]], dtype)
    rows, prior = np.array([[0.3, 0.7], [0.9, 0.1]], dtype), np.array([0.1, 0.9])
    model = build(reference, prior, iterations=iterations)
    assert model.iterates.plain == plain
    assert model.iterates.dtype == dtype
    expected = alternating_normalization_loop(rows, reference, prior, 1.0, iterations)
    got = model.adjust(rows, all_depths=True)
    np.testing.assert_allclose(got, expected, atol=1e-6 if dtype == "f4" else 1e-13, rtol=0)


def test_the_reference_is_not_copied_where_alpha_is_one():
    reference = dirichlet(0, 50, 4).astype(np.float32)
    model = build(reference, np.full(4, 0.25), iterations=5)
    for t in range(4):
        for left, _, right in model.rows.matrices(model.iterates, t):
            assert np.shares_memory(left, reference)
            assert np.shares_memory(right, reference)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"rows": [[0.5, 0.5]]},
            "`reference` must be an array of 2 classes like `rows`, got 3 columns",
        ),
        ({"rows": 0.5}, "`rows` must be two-dimensional, (rows, classes), got shape ()"),
        (
            {"rows": [1.5]},
            "`rows, row 0, column 0` must be a finite number >= 0, got -0.5; pass probabilities",
        ),
        (
            {"rows": [[0.5, -0.5, 1.0]]},
            "`rows, row 0, column 1` must be a finite number >= 0, got -0.5; pass probabilities",
        ),
        (
            {"reference": [[0.5, 0.5, 0.0], [0.5, np.nan, 1.0]]},
            "`reference, row 1, column 1` must be a finite number >= 0, got nan; "
            "pass probabilities",
        ),
        ({"rows": [[0.0, 0.0, 0.0]]}, "`rows, row 0` must be a row with mass, got zeros only"),
        ({"prior": [0.5, 0.5]}, "`prior` must be of shape (3,), got shape (2,)"),
        ({"prior": [0.5, 0.7, -0.2]}, "`prior[2]` must be a finite number >= 0, got -0.2"),
        ({"prior": [0, 0, 0]}, "`prior` must be a vector with mass, got zeros only"),
        ({"alpha": 0.0}, "`alpha` must be in (0, 1000], got 0.0"),
        ({"alpha": float("nan")}, "`alpha` must be in (0, 1000], got nan"),
        ({"iterations": 0}, "`iterations` must be an integer in 1..1000, got 0"),
        ({"smoothing": -1.0}, "`smoothing` must be in [0, inf), got -1.0"),
        ({"weights": [1.0]}, "`weights` must be of shape (3,), got shape (1,)"),
    ],
)
def test_bad_values_are_named(change, message):
    arguments = {"rows": ROW, "reference": REFERENCE, "prior": PRIOR} | change
    with pytest.raises(ValueError) as error:
        alternating_normalization(**arguments)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": [["a", "b", "c"]]}, "`rows` must be an array of real numbers, got dtype <U1"),
        ({"rows": [[1j, 0, 0]]}, "`rows` must be an array of real numbers, got dtype complex128"),
        ({"alpha": "1"}, "`alpha` must be in (0, 1000], got '1'"),
        ({"iterations": 1.5}, "`iterations` must be an integer in 1..1000, got 1.5"),
        ({"iterations": True}, "`iterations` must be an integer in 1..1000, got True"),
    ],
)
def test_bad_types_are_named(change, message):
    arguments = {"rows": ROW, "reference": REFERENCE, "prior": PRIOR} | change
    with pytest.raises(TypeError) as error:
        alternating_normalization(**arguments)
    assert str(error.value) == message
