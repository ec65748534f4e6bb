"""`AutoPostprocessor`: what it does, what it leaves alone, and what it says."""

import inspect

import numpy as np
import pytest

from ensemble import AdaptedPipeline, AutoPostprocessor, load_model, save_model
from postproc import softmax
from postproc.automatic import paired_gain

SHIFTED = np.array([0.7, 0.1, 0.1, 0.05, 0.05])


def task(n, prior, seed, distance=1.5):
    """Log-likelihoods of rows from unit Gaussians at orthogonal means."""
    rng = np.random.default_rng(seed)
    y = rng.choice(len(prior), n, p=prior)
    return distance * (rng.normal(size=(n, len(prior))) + distance * np.eye(len(prior))[y]), y


@pytest.fixture(scope="module")
def fit_split():
    x, y = task(500, np.full(5, 0.2), 20)
    return 2 * x, y


@pytest.fixture(scope="module")
def fitted(fit_split):
    return AutoPostprocessor(n_rehearsals=18).fit([fit_split[0]], fit_split[1])


def test_good_predictions_are_left_alone(fitted):
    x, _ = task(500, np.full(5, 0.2), 21)
    adapted = fitted.adapt_to([2 * x])
    assert adapted.decision_.action == "nothing"
    np.testing.assert_array_equal(adapted.predict([2 * x]), x.argmax(axis=1))
    assert adapted.summary_.startswith("The target shows no shift of class frequencies (p = ")


def test_a_shift_is_adapted_to_and_gains(fitted):
    x, y = task(500, SHIFTED, 22)
    adapted = fitted.adapt_to([2 * x])
    assert adapted.decision_.action == "adapt"
    assert np.abs(adapted.decision_.prior.prior - SHIFTED).sum() < 0.2
    gain = np.mean(adapted.predict([2 * x]) == y) - np.mean(x.argmax(axis=1) == y)
    assert gain > 0.02
    assert "Expected gain: +" in adapted.summary_
    np.testing.assert_array_equal(fitted.predict_proba([2 * x]), adapted.predict_proba([2 * x]))


def test_labels_of_the_target_are_no_argument():
    for method in (AutoPostprocessor.adapt_to, AutoPostprocessor.predict_proba):
        assert set(inspect.signature(method).parameters) == {"self", "members", "kinds"}


def test_order_of_rows_and_classes_does_not_matter(fit_split, fitted):
    scores, y = fit_split
    target = task(300, SHIFTED, 23)[0]
    expected = fitted.predict_proba([target])
    rng = np.random.default_rng(0)
    rows, classes = rng.permutation(len(y)), np.array([3, 0, 4, 1, 2])
    other = AutoPostprocessor(n_rehearsals=18)
    other.fit([scores[rows][:, classes]], np.argsort(classes)[y[rows]])
    found = other.predict_proba([target[:, classes]])
    np.testing.assert_allclose(found, expected[:, classes], atol=2e-3)
    order = rng.permutation(300)
    np.testing.assert_allclose(fitted.predict_proba([target[order]]), expected[order], atol=1e-9)


def test_it_repeats_itself_and_survives_saving(tmp_path, fit_split, fitted):
    target = task(300, SHIFTED, 24)[0]
    again = AutoPostprocessor(n_rehearsals=18).fit([fit_split[0]], fit_split[1])
    expected = fitted.predict_proba([target])
    np.testing.assert_array_equal(again.predict_proba([target]), expected)
    save_model(fitted, tmp_path / "pipeline.json")
    loaded = load_model(tmp_path / "pipeline.json").adapt_to([target])
    assert isinstance(loaded, AdaptedPipeline)
    np.testing.assert_array_equal(loaded.predict_proba([target]), expected)
    assert loaded.to_dict() == fitted.adapt_to([target]).to_dict()


def test_members_are_combined_where_that_gains():
    x, y = task(400, np.full(3, 1 / 3), 0, distance=2.0)
    rng = np.random.default_rng(1)
    members = [x + 4 * rng.normal(size=x.shape) for _ in range(3)]
    auto = AutoPostprocessor(n_rehearsals=6).fit(members, y)
    assert auto.combination_ in ("weights", "blend")
    assert (auto.member_weights_ > 0).all()
    adapted = auto.adapt_to(members)
    found = adapted.to_dict()
    assert found["candidates"][auto.combination_]["gain_ci"][0] > 0
    assert adapted.summary_.startswith("The 3 members were combined by ")
    assert np.mean(adapted.predict(members) == y) > auto.solo_accuracy_.max() + 0.02


def test_equal_members_leave_the_best_alone(fit_split):
    scores, y = fit_split[0][:120], fit_split[1][:120]
    auto = AutoPostprocessor(n_rehearsals=6).fit([scores, scores], y)
    assert auto.combination_ == "best"
    assert auto.combiner_ is None
    assert (
        "was taken alone: no combination is better for certain."
        in auto.adapt_to([scores, scores]).summary_
    )


def test_too_few_rows_are_left_alone():
    x, y = task(10, np.full(3, 1 / 3), 0)
    with pytest.warns(UserWarning, match="10 labelled rows are too few to learn from"):
        auto = AutoPostprocessor().fit([x], y)
    np.testing.assert_allclose(auto.predict_proba([x]), softmax(x), atol=1e-12)
    assert auto.adapt_to([x]).summary_.startswith("Nothing was done")


@pytest.mark.parametrize("rows", [0, 1, 50])
def test_no_row_one_row_and_equal_rows(fitted, rows):
    target = np.tile([[2.0, 1.0, 0.0, 0.0, -1.0]], (rows, 1))
    found = fitted.predict_proba([target], kinds="logits")
    assert found.shape == (rows, 5)
    assert np.isfinite(found).all()


def test_a_class_without_labels(fit_split):
    scores, y = fit_split
    with pytest.warns(UserWarning, match="1 of 5 classes have no row in the fit split"):
        auto = AutoPostprocessor(n_rehearsals=6).fit([scores[y != 4]], y[y != 4])
    probs = auto.predict_proba([scores])
    assert probs[y == 4, 4].mean() > 0.3


def test_training_predictions_are_suspected():
    x, y = task(300, np.full(4, 0.25), 0, distance=6.0)
    auto = AutoPostprocessor(n_rehearsals=6).fit([x], y)
    with pytest.warns(UserWarning, match="must not be those of training rows"):
        auto.adapt_to([task(300, np.full(4, 0.25), 1, distance=0.7)[0]])


def test_a_target_of_other_classes_is_refused(fitted):
    with pytest.raises(ValueError, match="must be arrays of 5 classes as fitted, got 3 classes"):
        fitted.adapt_to([np.zeros((4, 3)) - np.eye(4, 3)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, "`alpha` must be in (0, 1], got 0.0"),
        ({"alpha": 1.0}, "`alpha` must be in (0, 1), got 1.0"),
        ({"min_z": 0.0}, "`min_z` must be in (0, inf), got 0.0"),
        ({"pseudo_rows": ()}, "`pseudo_rows` must be one number >= 0 or more, got none"),
        ({"n_rehearsals": 0}, "`n_rehearsals` must be an integer >= 1, got 0"),
        ({"n_folds": 1}, "`n_folds` must be an integer >= 2, got 1"),
    ],
)
def test_error_messages(options, message, fit_split):
    with pytest.raises(ValueError) as error:
        AutoPostprocessor(**options).fit([fit_split[0]], fit_split[1])
    assert str(error.value) == message


def test_paired_gain_against_hand_count():
    new, old, y = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0])
    found = paired_gain(new, old, y, np.array([1.0, 2.0, 1.0, 4.0]))
    assert found.gain == pytest.approx(6 / 8)
    low, high = found.interval
    assert low < 6 / 8 < high
