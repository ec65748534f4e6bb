"""The estimator: what is adjusted, what is warned of, and its manners among scikit-learn's."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from postproc import CAN, alternating_normalization, softmax, top_k_entropy
from postproc.can.model import CANModel
from postproc.can.options import PRESETS, CANOptions
from postproc.scores.blocks import Sizes
from tests.oracles import alternating_normalization_loop

UNIFORM = np.full(4, 0.25)


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    sharp = 6 * np.eye(4)[rng.integers(0, 4, 60)] + rng.normal(size=(60, 4))
    return np.vstack([sharp, rng.normal(scale=0.3, size=(20, 4))])


def test_adjusts_the_ambiguous_rows_only(logits):
    can = CAN(prior=UNIFORM, iterations=2, alpha=1.5).fit(logits)
    probs = softmax(logits)
    ambiguous = top_k_entropy(probs, 3) >= 0.9
    assert 0 < ambiguous.sum() < len(probs)
    got = can.predict_proba(logits)
    np.testing.assert_array_equal(got[~ambiguous], probs[~ambiguous])
    expected = alternating_normalization_loop(probs[ambiguous], probs[~ambiguous], UNIFORM, 1.5, 2)[
        -1
    ]
    np.testing.assert_allclose(got[ambiguous], expected, atol=1e-12)
    np.testing.assert_array_equal(can.predict(logits), got.argmax(axis=1))


def test_one_row_at_a_time_is_the_same(logits):
    can = CAN(prior=UNIFORM, iterations=3).fit(logits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a single row is always far from the prior
        one_by_one = np.vstack([can.predict_proba(row[None]) for row in logits])
    np.testing.assert_allclose(one_by_one, can.predict_proba(logits), atol=1e-14)


def test_a_row_of_logits_that_looks_like_probabilities_stays_logits(logits):
    can = CAN(prior=UNIFORM).fit(logits)
    assert can.kind_ == "logits"
    row = np.array([[0.9, 0.1, 0.0, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = can.predict_proba(row)
    expected = alternating_normalization(
        softmax(row), softmax(logits)[top_k_entropy(softmax(logits)) < 0.9], UNIFORM
    )
    np.testing.assert_allclose(got, expected, atol=1e-14)


def test_a_constant_added_to_a_row_of_logits_changes_nothing(logits):
    shift = np.random.default_rng(1).normal(size=(len(logits), 1))
    can = CAN(prior=UNIFORM, iterations=2)
    np.testing.assert_allclose(
        can.fit(logits + shift).predict_proba(logits + shift),
        can.fit(logits).predict_proba(logits),
        atol=1e-12,
    )


def test_tensors_in_tensors_out(logits):
    can = CAN(prior=UNIFORM, iterations=2)
    got = can.fit(torch.from_numpy(logits)).predict_proba(torch.from_numpy(logits))
    assert isinstance(got, torch.Tensor)
    expected = can.fit(logits).predict_proba(logits)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("dtype", "result"), [("f2", "f4"), ("f4", "f4"), ("f8", "f8")])
def test_dtypes(logits, dtype, result):
    got = CAN(prior=UNIFORM).fit(logits.astype(dtype)).predict_proba(logits.astype(dtype))
    assert got.dtype == result


def test_labels_give_the_prior_where_none_is_given(logits):
    labels = np.arange(len(logits)) % 4
    np.testing.assert_array_equal(CAN().fit(logits, labels).prior_, UNIFORM)


def test_without_a_prior_it_says_what_it_needs(logits):
    with pytest.raises(ValueError) as error:
        CAN().fit(logits)
    assert str(error.value) == "`prior` must be given, or labels in `fit`, got None"


def test_manners_of_an_estimator(logits):
    can = CAN(prior="uniform", alpha=2.0, top_k=2)
    assert clone(can).get_params() == can.get_params()
    assert can.set_params(alpha=1.0).alpha == 1.0
    with pytest.raises(NotFittedError):
        can.predict_proba(logits)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"threshold": 1.3}, "`threshold` must be in [0, 1], got 1.3"),
        ({"top_k": 5}, "`top_k` must be an integer in 2..4, got 5"),
        ({"alpha": 0.0}, "`alpha` must be in (0, 1000], got 0.0"),
        ({"iterations": 0}, "`iterations` must be an integer in 1..1000, got 0"),
        ({"smoothing": -1.0}, "`smoothing` must be in [0, inf), got -1.0"),
        (
            {"reference_sample": "some"},
            '`reference_sample` must be one of "all", "stratified", got \'some\'',
        ),
        ({"prior": [0.5, 0.5]}, "`prior` must be of length 4, one number a class, got length 2"),
        ({"kind": "probs"}, None),
    ],
)
def test_bad_options_are_named(logits, option, message):
    with pytest.raises(ValueError) as error:
        CAN(**({"prior": UNIFORM} | option)).fit(logits)
    if message is None:
        message = (
            "`scores, row 0, column 0` must be in [0, 1] for probabilities, got "
            f"{logits[0, 0]:g}; declare logits if they are"
        )
    assert str(error.value) == message


def test_another_number_of_columns_is_an_error(logits):
    with pytest.raises(ValueError) as error:
        CAN(prior=UNIFORM).fit(logits).predict_proba(logits[:, :3])
    assert str(error.value) == (
        "`scores` must be an array of 4 columns like the reference, got 3 columns"
    )


def test_warns_of_classes_without_confident_mass(logits):
    logits[:, 3] -= 20
    with pytest.warns(UserWarning, match="class 3 has less than one confident row's worth"):
        CAN(prior=UNIFORM).fit(logits)
    CAN(prior=UNIFORM, smoothing=1.0).fit(logits)  # no warning: every class has a pseudo-row


def test_warns_where_no_row_is_confident(logits):
    with pytest.warns(UserWarning, match="no row is confident"):
        can = CAN(prior=UNIFORM, threshold=0.0).fit(logits)
    expected = alternating_normalization(softmax(logits), np.eye(4), UNIFORM)
    np.testing.assert_allclose(can.predict_proba(logits), expected, atol=1e-14)


def test_warns_of_a_class_of_prior_zero(logits):
    with pytest.warns(UserWarning, match="the prior of class 2 is zero"):
        CAN(prior=[0.3, 0.3, 0.0, 0.4]).fit(logits)


def test_warns_of_a_target_far_from_the_prior(logits):
    can = CAN(prior=UNIFORM).fit(logits)
    shifted = logits[softmax(logits).argmax(axis=1) < 2]
    with pytest.warns(UserWarning, match="lies far from the prior"):
        can.predict_proba(np.vstack([shifted] * 5))


def test_the_target_under_label_shift_with_the_source_prior_is_harmed_and_warned_of():
    """The trap of DESIGN: the reference is taken from a shifted target, the prior from training."""
    rng = np.random.default_rng(0)
    n_classes = 10
    labels = rng.choice(
        n_classes, 2000, p=np.geomspace(1, 0.01, 10) / np.geomspace(1, 0.01, 10).sum()
    )
    scores = 1.5 * np.eye(n_classes)[labels] + rng.normal(size=(2000, n_classes))
    can = CAN(prior=np.full(n_classes, 0.1), threshold=0.5).fit(scores)
    with pytest.warns(UserWarning, match="lies far from the prior"):
        adjusted = can.predict(scores)
    before, after = (scores.argmax(axis=1) == labels).mean(), (adjusted == labels).mean()
    assert after < before - 0.1


def test_multilabel_is_two_class_rows_with_one_reference():
    rng = np.random.default_rng(0)
    probs = rng.beta(0.3, 0.6, size=(30, 7))
    can = CAN(prior=[0.3, 0.7], multilabel=True, threshold=0.8, iterations=2).fit(probs)
    got = can.predict_proba(probs)
    assert got.shape == probs.shape
    pairs = np.stack([probs.ravel(), 1 - probs.ravel()], axis=1)
    ambiguous = top_k_entropy(pairs, 2) >= 0.8
    expected = pairs.copy()
    expected[ambiguous] = alternating_normalization_loop(
        pairs[ambiguous], pairs[~ambiguous], [0.3, 0.7], 1.0, 2
    )[-1]
    np.testing.assert_allclose(got, expected[:, 0].reshape(30, 7), atol=1e-12)
    np.testing.assert_array_equal(can.predict(probs), (got >= 0.5).astype(int))


def test_multilabel_logits_pass_the_logistic_function():
    logits = np.random.default_rng(0).normal(scale=3, size=(30, 7))
    probs = 1 / (1 + np.exp(-logits))
    options = {"prior": [probs.mean(), 1 - probs.mean()], "multilabel": True}
    np.testing.assert_allclose(
        CAN(**options).fit(logits).predict_proba(logits),
        CAN(**options).fit(probs).predict_proba(probs),
        atol=1e-12,
    )


def test_multilabel_prior_from_labels():
    probs = np.random.default_rng(0).beta(0.3, 0.6, size=(30, 2))
    can = CAN(multilabel=True).fit(probs, np.tile([1, 0], (30, 1)))
    np.testing.assert_array_equal(can.prior_, [0.5, 0.5])


def test_presets_are_the_published_ones():
    assert PRESETS["blog"].check(10) == CANOptions(1.0, 1, 3, 0.9, 0.0, "all")
    assert PRESETS["paper-code"].check(10) == CANOptions(1.0, 1, "max", 0.9, 0.0, "stratified")
    assert CANOptions().check(2).top_k == 2


@pytest.mark.parametrize("n_rows", [999, 1001, 1501, 1650, 1700, 5000])
def test_stratified_sample_keeps_the_shares_of_300_classes(n_rows):
    """The released code fails on 1501..1700 confident rows of 300 classes."""
    rng = np.random.default_rng(0)
    classes = rng.permutation(n_rows) % 300
    rows = 0.001 / 300 + 0.999 * np.eye(300)[classes]
    options = CANOptions(reference_sample="stratified")
    model = CANModel.fit([rows], np.full(300, 1 / 300), options)
    assert model.n_confident == n_rows
    counts = np.bincount(model.reference.rows.a.argmax(axis=1), minlength=300)
    assert counts.sum() == min(n_rows, 1500)
    wanted = np.bincount(classes, minlength=300) * min(n_rows, 1500) / n_rows
    assert np.abs(counts - wanted).max() < 1


def test_stratified_sample_repeats_for_a_seed():
    probs = np.random.default_rng(0).dirichlet(np.full(5, 0.05), 3000)

    def make(seed):
        can = CAN("uniform", reference_sample="stratified", random_state=seed, iterations=2)
        return can.fit(probs).predict_proba(probs)

    np.testing.assert_array_equal(make(0), make(0))
    assert np.abs(make(0) - make(1)).max() > 0


def test_blocks_do_not_matter(logits):
    probs, options = softmax(logits), CANOptions(iterations=3)
    whole = CAN(prior=UNIFORM, iterations=3).fit(logits).predict_proba(logits)
    sizes = Sizes(summed=1, rows_together=(1, 1))
    by_rows = CANModel.fit(probs[:, None], UNIFORM, options, sizes=sizes)
    np.testing.assert_allclose(by_rows.adjust(probs)[0], whole, atol=1e-14)


def test_confident_rows_are_not_the_ones_adjusted(logits):
    """Row 18 of the peers: copies of CAN in the wild invert the split."""
    sure = 20 * np.eye(4)
    adjusted = CAN(prior=[0.7, 0.1, 0.1, 0.1]).fit(logits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(adjusted.predict_proba(sure), softmax(sure))


def test_zeros_do_not_make_rows_vanish():
    """Row 18 of the peers: an exact zero turns into NaN in copies of CAN."""
    probs = np.array([[1.0, 0, 0], [0, 1.0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = CAN("uniform", iterations=3, top_k=2).fit(probs).predict_proba(probs)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got.sum(axis=1), 1)
