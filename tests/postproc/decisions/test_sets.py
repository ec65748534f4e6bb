"""Conformal sets: loops and other libraries as oracles, coverage by simulation, invariances."""

import math
import tracemalloc

import numpy as np
import pytest

from postproc import ConformalSets, Predictions
from postproc.decisions.rules import DecideRows, probabilities_of
from postproc.decisions.sets import (
    ConformalRule,
    class_scores,
    class_weights_of,
    conformal_thresholds,
    sets_up_to,
    uniform_of,
)

#: What the rows of `test_shares_stay_the_same_from_version_to_version` have always had.
GOLDEN_SHARES = [0.2656278692417051, 0.7200543050615629, 0.7751905396481076, 0.7200543050615629]


def draw(rng, n, prior=(0.5, 0.3, 0.2), sharp=1.5):
    """Rows of a classifier that is calibrated for a flat prior."""
    y = rng.choice(len(prior), n, p=prior)
    logits = rng.normal(size=(n, len(prior))) + sharp * np.eye(len(prior))[y]
    mass = np.exp(sharp * logits)
    return mass / mass.sum(axis=1, keepdims=True), y


def aps_loop(probs, share):
    """Mass of the likelier classes and a share of a class's own, one class after the other."""
    found = np.empty_like(probs)
    for i, row in enumerate(probs):
        for j, p in enumerate(row):
            before = sum(q for k, q in enumerate(row) if q > p or (q == p and k < j))
            found[i, j] = before + share[i] * p
    return found


def test_scores_are_those_of_the_loop():
    rng = np.random.default_rng(0)
    probs, _ = draw(rng, 50)
    probs[3] = [0.5, 0.25, 0.25]
    share = rng.random(50)
    np.testing.assert_allclose(class_scores(probs, "lac"), 1 - probs)
    np.testing.assert_allclose(
        class_scores(probs, "aps", share), aps_loop(probs, share), atol=1e-15
    )


@pytest.mark.parametrize("coverage", [0.5, 0.55, 0.9, 0.95])
@pytest.mark.parametrize("n", [1, 9, 19, 39, 100])
def test_threshold_is_the_smallest_score_of_that_rank(coverage, n):
    own = np.random.default_rng(n).random(n)
    labels = np.zeros(n, dtype=int)
    found = conformal_thresholds(own, labels, coverage, weights=np.ones(2), per_class=False)
    rank = math.ceil(round((n + 1) * coverage, 9))
    wanted = np.inf if rank > n else np.sort(own)[rank - 1]
    assert found.tolist() == [wanted] * 2


def weighted_loop(own, labels, coverage, weights):
    """The least score at which fit rows weigh enough, one class and one row after the other."""
    found = []
    for extra in weights:
        total = sum(weights[label] for label in labels) + extra
        reached, threshold = 0.0, math.inf
        for score, label in sorted(zip(own, labels, strict=True)):
            reached += weights[label]
            if reached >= coverage * total - 1e-12 * total:
                threshold = score
                break
        found.append(threshold)
    return found


def test_weighted_thresholds_are_those_of_the_loop():
    rng = np.random.default_rng(0)
    own, labels, weights = rng.random(80), rng.integers(3, size=80), np.array([0.2, 1.0, 7.0])
    found = conformal_thresholds(own, labels, 0.8, weights=weights, per_class=False)
    np.testing.assert_allclose(found, weighted_loop(own, labels, 0.8, weights))


def test_per_class_thresholds_are_those_of_the_rows_of_each_class():
    rng = np.random.default_rng(0)
    own, labels = rng.random(60), np.repeat([0, 1, 2], [40, 19, 1])
    found = conformal_thresholds(own, labels, 0.9, weights=np.ones(3), per_class=True)
    for j in range(2):
        alone = conformal_thresholds(
            own[labels == j], np.zeros((labels == j).sum(), int), 0.9, weights=np.ones(1),
            per_class=False,
        )  # fmt: skip
        assert found[j] == alone[0]
    assert found[2] == np.inf


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_fitted_thresholds_are_those_of_the_loop(score):
    probs, y = draw(np.random.default_rng(1), 60, sharp=0.3)
    probs = probabilities_of(Predictions(probs, "probs"))  # rounding changes the random shares
    scores = aps_loop(probs, uniform_of(probs)) if score == "aps" else 1 - probs
    own = []
    for row, label in enumerate(y):
        is_likeliest = probs[row, label] == max(probs[row])
        # APS has the likeliest class in every set, so that it fits best of all.
        own.append(0.0 if is_likeliest and score == "aps" else scores[row, label])
    for coverage in (0.4, 0.9):
        found = ConformalSets(coverage=coverage, score=score).fit(probs, y).thresholds_
        np.testing.assert_allclose(found, weighted_loop(own, y, coverage, np.ones(3)), atol=1e-15)


def test_options_of_the_estimator_reach_its_thresholds():
    probs, y = draw(np.random.default_rng(2), 200)
    own = 1 - probs[np.arange(200), y]
    plain, alone = (ConformalSets(coverage=0.9, per_class=per).fit(probs, y) for per in (0, 1))
    wanted = [weighted_loop(own[y == j], y[y == j] * 0, 0.9, [1.0])[0] for j in range(3)]
    np.testing.assert_allclose(alone.thresholds_, wanted)
    assert len(set(plain.thresholds_)) == 1
    kept, prior = y < 2, [0.3, 0.5, 0.2]  # a class of the prior has no row
    found = ConformalSets(coverage=0.8, prior=prior).fit(probs[kept], y[kept]).thresholds_
    counts = [(y == j).sum() for j in range(2)]
    weights = [q * kept.sum() / n for q, n in zip(prior, [*counts, 1], strict=True)]
    np.testing.assert_allclose(found, weighted_loop(own[kept], y[kept], 0.8, weights))


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_sets_and_thresholds_are_those_of_mapie(score):
    pytest.importorskip("mapie")
    from mapie.classification import SplitConformalClassifier
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_, self.fitted_ = np.arange(3), True
            return self

        def predict_proba(self, X):
            return X

        def predict(self, X):
            return X.argmax(axis=1)

    rng = np.random.default_rng(0)
    fit, y = draw(rng, 200)
    test, _ = draw(rng, 300)
    model = SplitConformalClassifier(
        Given().fit(fit, y), confidence_level=0.8, conformity_score=score, random_state=3
    )
    options = {"include_last_label": "randomized"} if score == "aps" else {}
    theirs = model.conformalize(fit, y).predict_set(test, conformity_score_params=options)[1]
    u, u_test = (np.random.RandomState(3).uniform(size=n) for n in (200, 300))
    own = class_scores(fit, score, 1 - u)[np.arange(200), y]
    found = conformal_thresholds(own, y, 0.8, weights=np.ones(3), per_class=False)
    own_sets = class_scores(test, score, 1 - u_test) <= found
    np.testing.assert_allclose(model._mapie_classifier.conformity_scores_.ravel(), own, atol=1e-9)
    np.testing.assert_allclose(model._mapie_classifier.quantiles_[0], found[0], atol=1e-9)
    assert (theirs[:, :, 0] == own_sets).all()
    if score == "lac":
        sets = ConformalSets(coverage=0.8).fit(fit, y).predict_set(test)
        filled = (
            theirs[:, :, 0]
            | (~theirs.any(axis=(1, 2)) & True)[:, None]
            * np.eye(3, dtype=bool)[test.argmax(axis=1)]
        )
        assert (sets == filled).all()


@pytest.mark.parametrize("per_class", [False, True])
def test_sets_are_those_of_crepes(per_class):
    pytest.importorskip("crepes")
    from crepes import ConformalClassifier
    from crepes.extras import hinge

    rng = np.random.default_rng(0)
    fit, y = draw(rng, 200)
    test, _ = draw(rng, 300)
    bins = {"bins": y} if per_class else {}
    classifier = ConformalClassifier().fit(hinge(fit, np.arange(3), y), **bins)
    alphas = hinge(test)
    if per_class:
        theirs = np.stack(
            [
                classifier.predict_set(
                    alphas[:, [j]], bins=np.full(300, j), confidence=0.85, smoothing=False
                )[:, 0]
                for j in range(3)
            ],
            axis=1,
        )
    else:
        theirs = classifier.predict_set(alphas, confidence=0.85, smoothing=False)
    found = ConformalSets(coverage=0.85, per_class=per_class).fit(fit, y).predict_set(test)
    empty = ~np.asarray(theirs, dtype=bool).any(axis=1)
    assert (found[~empty] == theirs[~empty]).all()
    assert (found[empty].sum(axis=1) == 1).all()


@pytest.mark.parametrize("score", ["lac", "aps"])
@pytest.mark.parametrize("per_class", [False, True])
def test_sets_cover_the_true_class(score, per_class):
    rng = np.random.default_rng(0)
    covered, classes = [], []
    for _ in range(100):
        probs, y = draw(rng, 400)
        found = ConformalSets(coverage=0.9, score=score, per_class=per_class).fit(probs, y)
        test, truth = draw(rng, 400)
        hit = found.predict_set(test)[np.arange(400), truth]
        covered.append(hit.mean())
        classes.append([hit[truth == j].mean() for j in range(3)])
    assert 0.89 <= np.mean(covered) <= 0.92
    if per_class:
        assert np.min(np.mean(classes, axis=0)) >= 0.89


def test_weights_keep_the_coverage_under_label_shift():
    rng = np.random.default_rng(0)
    shifted = (0.05, 0.15, 0.8)
    plain, weighted = [], []
    for _ in range(100):
        probs, y = draw(rng, 300, (0.8, 0.15, 0.05))
        test, truth = draw(rng, 300, shifted)
        for prior, into in ((None, plain), (shifted, weighted)):
            found = ConformalSets(coverage=0.9, prior=prior).fit(probs, y)
            into.append(found.predict_set(test)[np.arange(300), truth].mean())
    assert np.mean(weighted) >= 0.89
    assert np.mean(weighted) > np.mean(plain)


def test_a_class_at_its_threshold_is_in_the_set():
    scores = np.array([[0.1, 0.5, 0.9], [0.6, 0.2, 0.7]])
    sets, empty = sets_up_to(scores, np.array([0.1, 0.2, 0.8]), np.array([0, 1]), "lac")
    np.testing.assert_array_equal(sets, [[True, False, False], [False, True, True]])
    assert empty == 0


def test_fit_rows_weigh_the_share_of_their_class_in_the_target_over_that_in_the_fit_rows():
    weights = class_weights_of(np.array([0.5, 0.25, 0.25]), np.array([1, 3, 0]))
    np.testing.assert_allclose(weights, [0.5 / (1 / 4), 0.25 / (3 / 4), 0.25 * 4])


def test_shares_stay_the_same_from_version_to_version():
    rows = np.array([[0.5, 0.25, 0.25], [0.0, 1e-20, 1.0], [0.0, 2e-20, 1.0], [-0.0, 1e-20, 1.0]])
    np.testing.assert_array_equal(uniform_of(rows), GOLDEN_SHARES)


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_with_aps_the_likeliest_class_is_in_every_set(score):
    sets, empty = sets_up_to(np.array([[0.5, 0.6]]), np.array([0.4, 0.7]), np.array([0]), score)
    np.testing.assert_array_equal(sets, [[score == "aps", True]])
    assert empty == 0


def test_no_set_is_empty_and_the_likeliest_class_fills_it():
    rng = np.random.default_rng(0)
    probs, y = draw(rng, 300, sharp=6.0)
    for score in ("lac", "aps"):
        sets = ConformalSets(coverage=0.5, score=score).fit(probs, y).predict_set(probs)
        assert sets.any(axis=1).all()
        assert sets[np.arange(300), probs.argmax(axis=1)].all()


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_sets_do_not_depend_on_the_order_of_rows_or_classes(score):
    rng = np.random.default_rng(0)
    probs, y = draw(rng, 200)
    test, _ = draw(rng, 50)
    found = ConformalSets(score=score).fit(probs, y).predict_set(test)
    rows, moved = rng.permutation(200), rng.permutation(50)
    again = ConformalSets(score=score).fit(probs[rows], y[rows]).predict_set(test[moved])
    assert (again == found[moved]).all()
    classes = np.array([2, 0, 1])
    renamed = ConformalSets(score=score).fit(probs[:, classes], np.argsort(classes)[y])
    assert (renamed.predict_set(test[:, classes]) == found[:, classes]).all()


def test_random_shares_are_uniform_and_follow_from_the_row():
    probs, _ = draw(np.random.default_rng(0), 20_000)
    share = uniform_of(probs)
    assert ((share >= 0) & (share < 1)).all()
    assert np.abs(np.quantile(share, np.linspace(0, 1, 11)) - np.linspace(0, 1, 11)).max() < 0.015
    assert abs(np.corrcoef(share, probs.max(axis=1))[0, 1]) < 0.03
    assert (uniform_of(probs[:, [2, 0, 1]]) == share).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coverage": 0.0}, r"`coverage` must be in \(0, 1\], got 0.0"),
        ({"coverage": 1.0}, r"`coverage` must be in \(0, 1\), got 1.0"),
        ({"score": "raps"}, '`score` must be one of "lac", "aps"'),
        ({"prior": [1, 1]}, "`prior` must be of length 3"),
        ({"prior": [1, 1, 1], "per_class": True}, "`prior` must be None with `per_class`"),
    ],
)
def test_bad_options_are_named(options, message):
    probs, y = draw(np.random.default_rng(0), 30)
    with pytest.raises(ValueError, match=message):
        ConformalSets(**options).fit(probs, y)


def test_sets_of_many_classes_take_little_memory():
    scores = np.random.default_rng(0).normal(size=(3000, 1000)).astype(np.float32)
    part = DecideRows(Predictions.check(scores), ConformalRule("aps", np.full(1000, 0.9)))
    tracemalloc.start()
    for rows in part.target.cuts():
        part(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15e6
