"""`AutoPostprocessor`: what it does, what it leaves alone, and what it says."""

import inspect
from dataclasses import replace

import numpy as np
import pytest

from ensemble import AdaptedPipeline, AutoPostprocessor, load_model, save_model
from ensemble.auto.judge import Judge
from ensemble.auto.policy import CHOICE_FACTOR
from ensemble.auto.rehearsal import paired_gain, rehearse
from postproc import em_prior, softmax
from postproc.shift.evidence import PredictionMoments

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
    assert adapted.summary_.startswith("The target shows no label shift (p = ")


def test_a_shift_is_adapted_to_and_gains(fitted):
    x, y = task(500, SHIFTED, 22)
    adapted = fitted.adapt_to([2 * x])
    assert adapted.decision_.action == "adapt"
    assert np.abs(adapted.decision_.prior.prior - SHIFTED).sum() < 0.2
    gain = np.mean(adapted.predict([2 * x]) == y) - np.mean(x.argmax(axis=1) == y)
    assert gain > 0.02
    assert not adapted.decision_.fit.is_refuted
    assert "This assumes that rows of one class look alike" in adapted.summary_
    assert "Expected gain: +" in adapted.summary_
    assert adapted.summary_.endswith("allows for the choices made on these same rows.")
    np.testing.assert_array_equal(fitted.predict_proba([2 * x]), adapted.predict_proba([2 * x]))


def test_what_class_frequencies_cannot_explain_is_not_adapted_to(fitted):
    x, _ = task(500, np.full(5, 0.2), 22)
    with pytest.warns(UserWarning, match="by more than class frequencies, which explain .*PP315"):
        adapted = fitted.adapt_to([2 * x + [9.0, 0.0, 0.0, 0.0, 0.0]])
    assert adapted.decision_.action != "adapt"
    assert adapted.decision_.fit.is_refuted
    assert "but not by class frequencies alone" in adapted.summary_
    assert "re-weighted to the class frequencies" not in adapted.summary_


def test_labels_of_the_target_are_no_argument():
    for method in (AutoPostprocessor.adapt_to, AutoPostprocessor.predict_proba):
        assert set(inspect.signature(method).parameters) == {"self", "members", "kinds"}


def test_order_of_rows_and_classes_does_not_matter(fit_split, fitted):
    scores, y = fit_split
    target = 2 * task(300, SHIFTED, 23)[0]
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
    target = 2 * task(300, SHIFTED, 24)[0]
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


def test_a_re_weighted_gain_says_so():
    rng = np.random.default_rng(1)
    (x, y), (shifted, _) = (
        task(400, prior, seed, distance=2.0)
        for seed, prior in enumerate((np.full(3, 1 / 3), [0.8, 0.1, 0.1]))
    )
    fit, target = ([s + 4 * rng.normal(size=s.shape) for _ in range(3)] for s in (x, shifted))
    auto = AutoPostprocessor(n_rehearsals=6).fit(fit, y)
    auto.policy_ = replace(auto.policy_, min_z=99.0)  # so that nothing is adapted
    for members, effective in ((fit, False), (target, True)):
        adapted = auto.adapt_to(members)
        rows = adapted.decision_.effective_rows
        assert adapted.decision_.action == "nothing"
        assert (rows < 399) == effective
        said = f"re-weighted to the class frequencies of the target ({rows:.0f} effective rows)"
        assert (said in adapted.summary_) == effective


def test_equal_members_leave_the_best_alone(fit_split):
    scores, y = fit_split[0][:120], fit_split[1][:120]
    auto = AutoPostprocessor(n_rehearsals=6).fit([scores, scores], y)
    assert auto.combination_ == "best"
    assert auto.combiner_ is None
    assert (
        "is used: no combination is significantly more accurate."
        in auto.adapt_to([scores, scores]).summary_
    )


def test_too_few_rows_are_left_alone():
    x, y = task(10, np.full(3, 1 / 3), 0)
    with pytest.warns(UserWarning, match="10 labelled rows are too few to learn from"):
        auto = AutoPostprocessor().fit([x], y)
    np.testing.assert_allclose(auto.predict_proba([x]), softmax(x), atol=1e-12)
    assert auto.adapt_to([x]).summary_.startswith("Nothing was done")


@pytest.mark.filterwarnings("ignore:the scores of the target differ")
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
    target, true = task(500, [0.1, 0.1, 0.1, 0.1, 0.6], 21)
    adapted = auto.adapt_to([2 * target])
    assert adapted.decision_.action == "adapt"
    found = adapted.decision_.expected
    gain = np.mean(adapted.predict([2 * target]) == true) - np.mean(target.argmax(1) == true)
    assert found.gain < 0 < gain  # the fit rows know nothing of the class that most rows have
    assert found.std_error > 0.5


def test_training_predictions_are_suspected():
    x, y = task(300, np.full(4, 0.25), 0, distance=6.0)
    auto = AutoPostprocessor(n_rehearsals=6).fit([x], y)
    with pytest.warns(UserWarning, match="or the model was trained on the fit rows"):
        auto.adapt_to([task(300, np.full(4, 0.25), 1, distance=0.7)[0]])


@pytest.mark.parametrize("scale", [0.02, 0.2])
def test_cautious_models_are_not_suspected(scale):
    x, y = task(300, np.full(4, 0.25), 0, distance=6.0)
    target, _ = task(300, np.full(4, 0.25), 1, distance=6.0)
    AutoPostprocessor(n_rehearsals=6).fit([scale * x], y).adapt_to([scale * target])


def test_a_target_of_other_classes_is_refused(fitted):
    with pytest.raises(ValueError, match="must be arrays of 5 classes as in fit, got 3 classes"):
        fitted.adapt_to([np.ones((4, 3)) - 2 * np.eye(4, 3)])


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


def test_doing_nothing_gains_nothing_for_certain(fitted, fit_split):
    for prior in (np.full(5, 0.2), SHIFTED):
        target = task(300, prior, 21)[0]
        cautious = AutoPostprocessor(n_rehearsals=6, min_z=99.0).fit([fit_split[0]], fit_split[1])
        decision = cautious.adapt_to([2 * target]).decision_
        assert decision.action == "nothing"
        assert decision.expected.interval == (0.0, 0.0)


def test_a_member_that_stays_alone_is_measured_against_itself():
    x, y = task(200, np.full(3, 1 / 3), 3)
    rng = np.random.default_rng(0)
    members = [x + 0.3 * rng.normal(size=x.shape) for _ in range(3)]
    auto = AutoPostprocessor(n_rehearsals=6).fit(members, y)
    assert auto.combination_ == "best"
    before = members[auto.best_].argmax(axis=1)
    np.testing.assert_array_equal(auto.policy_.baseline, before)
    assert auto.adapt_to(members).decision_.expected.gain == 0.0


def test_the_quoted_gain_against_a_loop_over_rows(fitted):
    """At the nearly free prior, with the doubt of the class frequencies of both samples."""
    target, _ = task(500, SHIFTED, 22)
    adapted = fitted.adapt_to([2 * target])
    decision, policy = adapted.decision_, fitted.policy_
    assert decision.action == "adapt"
    source = policy.held_out.mean(axis=0)
    probs = np.exp(decision.model(np.log(softmax(2 * target))))
    # A row that is certain of its class is a pseudo-row of it.
    free = em_prior(np.vstack([probs, np.eye(5)]), source).prior
    new = (policy.held_out * decision.prior.prior / source).argmax(axis=1)
    weighted, total, by_class = 0.0, 0.0, [[] for _ in range(5)]
    for row, true in enumerate(policy.labels):
        difference = int(new[row] == true) - int(policy.baseline[row] == true)
        weight = free[true] / np.sum(policy.labels == true)
        weighted, total = weighted + weight * difference, total + weight
        by_class[true].append(difference)
    gain = weighted / total
    assert decision.expected.gain == pytest.approx(gain, abs=2e-3)
    apart = np.array([np.mean(d) for d in by_class]) - gain
    std = em_prior(probs, source).std * np.sqrt(1 + 500 / len(policy.labels))
    weights = (free / np.bincount(policy.labels, minlength=5))[policy.labels]
    sampled = paired_gain(new, policy.baseline, policy.labels, weights).std_error
    error = np.sqrt(sampled**2 + np.sum((apart * std) ** 2))
    assert decision.expected.std_error == pytest.approx(error, rel=0.02)
    # Held back, the prior that adapts would quote less.
    weights = (decision.prior.prior / np.bincount(policy.labels, minlength=5))[policy.labels]
    assert paired_gain(new, policy.baseline, policy.labels, weights).gain < decision.expected.gain


def test_quoted_gains_cover_true_ones(fitted):
    """Fresh fit rows and fresh targets of one calibrated model: no map to fit, so it is quick."""
    rng = np.random.default_rng(7)
    big, truth = task(20_000, np.full(5, 0.2), 70, distance=1.2)
    by_class = [big[truth == c] for c in range(5)]
    plain, quoted = [], []
    for seed in range(60):
        x, y = task(200, np.full(5, 0.2), 100 + seed, distance=1.2)
        policy = replace(
            fitted.policy_,
            tempered=lambda logs: logs,
            held_out=softmax(x),
            pooled=False,
            calibrates=False,
            classes_after=np.stack([x.argmax(axis=1)] * 2),
            baseline=x.argmax(axis=1),
            labels=y,
            moments=PredictionMoments.of(softmax(x)),
        )
        prior = 0.97 * rng.dirichlet(np.full(5, 0.5)) + 0.006
        logs = np.log(softmax(task(200, prior, 300 + seed, distance=1.2)[0]))
        decision = policy.decide(lambda rows, logs=logs: logs[rows], [slice(0, 200)])
        if decision.action != "adapt":
            continue
        true = sum(
            prior[c]
            * np.mean(
                (decision.probabilities(np.log(softmax(rows))).argmax(axis=1) == c)
                - (rows.argmax(axis=1) == c).astype(float)
            )
            for c, rows in enumerate(by_class)
        )
        new = (policy.held_out * decision.prior.prior / policy.source_prior).argmax(axis=1)
        weights = (decision.prior.prior / np.bincount(y, minlength=5))[y]
        for found, gain in (
            (plain, paired_gain(new, policy.baseline, y, weights)),
            (quoted, decision.expected),
        ):
            low, high = gain.interval
            found.append((low <= true <= high, gain.gain - true))
    coverage, bias = np.mean(quoted, axis=0)
    plain_coverage, plain_bias = np.mean(plain, axis=0)
    assert len(quoted) > 40
    assert coverage >= 0.92
    assert plain_coverage < 0.85  # the same without re-weighting to the nearly free prior
    assert abs(bias) < 0.02 < abs(plain_bias)


def test_a_step_that_its_own_gain_chose_is_quoted_with_more_doubt(fitted):
    gains = np.full_like(fitted.policy_.rehearsals.calibration_gain, 0.5)
    rehearsals = replace(fitted.policy_.rehearsals, calibration_gain=gains)
    policy = replace(fitted.policy_, calibrates=True, rehearsals=rehearsals)
    logs = np.log(softmax(2 * task(300, np.full(5, 0.2), 21)[0]))
    decision = policy.decide(lambda rows: logs[rows], [slice(0, 200), slice(200, 300)])
    assert decision.action == "calibrate"
    y, new = policy.labels, policy.classes_after[1]
    own = paired_gain(new, policy.baseline, y)
    assert decision.expected.gain == own.gain
    difference = (new == y).astype(float) - (policy.baseline == y)
    apart = np.array([difference[y == c].mean() for c in range(5)]) - own.gain
    std = em_prior(policy.held_out, policy.source_prior).std * np.sqrt(1 + len(y) / 300)
    error = np.sqrt((CHOICE_FACTOR * own.std_error) ** 2 + np.sum((apart * std) ** 2))
    assert decision.expected.std_error == pytest.approx(error, rel=0.01)
    assert decision.effective_rows == len(y)


def test_calibration_must_gain_in_shifts_of_the_size_of_the_target(fitted):
    flat = np.zeros_like(fitted.policy_.rehearsals.calibration_gain)
    rehearsals = replace(fitted.policy_.rehearsals, calibration_gain=flat)
    policy = replace(fitted.policy_, calibrates=True, rehearsals=rehearsals)
    logs = np.log(softmax(2 * task(300, np.full(5, 0.2), 21)[0]))
    assert policy.decide(lambda rows: logs[rows], [slice(0, 300)]).action == "nothing"


@pytest.mark.parametrize(("step", "action"), [(0.0, "calibrate"), (0.2, "adapt")])
def test_a_shift_is_adapted_to_only_where_that_gains_over_calibration(fitted, step, action):
    found = fitted.policy_.rehearsals
    rehearsals = replace(
        found,
        calibration_gain=np.full_like(found.calibration_gain, 0.3),
        gain=np.full_like(found.gain, 0.3),
        prior_gain=np.full_like(found.gain, step),
    )
    policy = replace(fitted.policy_, calibrates=True, rehearsals=rehearsals)
    logs = np.log(softmax(2 * task(500, SHIFTED, 22)[0]))
    decision = policy.decide(lambda rows: logs[rows], [slice(0, 500)])
    assert decision.test.p_value < 0.01
    assert decision.action == action


def test_rehearsals_against_a_hand_count():
    """Three rows in each of two classes, one candidate: counts of right rows, before and after."""
    y = np.array([0, 0, 0, 1, 1, 1])
    held_out = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.1, 0.9], [0.2, 0.8], [0.6, 0.4]])
    calibrated, before = held_out.argmax(axis=1), np.zeros(6, dtype=np.int64)
    found = rehearse(
        held_out, held_out, calibrated, before, y,
        judged=Judge.of("accuracy", 2).against, candidates=[1e9], n_rehearsals=4,
        max_rows=6, seed=0,
    )  # fmt: skip
    # So many pseudo-rows leave the prior where it is, and classes as calibrated.
    np.testing.assert_allclose(found.prior_gain, 0.0)
    np.testing.assert_allclose(found.gain[0], found.calibration_gain)
    np.testing.assert_allclose(found.prior_disagreement, 0.0)
    assert found.gain_of_prior(0, -5.0).gain == 0.0
    near = np.exp(-0.5 * ((found.log_effect + 5.0) / np.log(2)) ** 2)
    mean = near @ found.calibration_gain / near.sum()
    assert found.gain_of_calibration(-5.0).gain == pytest.approx(mean)
