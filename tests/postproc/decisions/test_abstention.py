"""Abstention: the bound against its definition, the guarantee by simulation, and bad input."""

import numpy as np
import pytest
from scipy import stats

from postproc import SelectiveClassifier
from postproc.decisions.abstention import fewest_rows, largest_coverage, upper_bound


@pytest.mark.parametrize(("errors", "rows"), [(0, 10), (3, 100), (17, 20), (5, 5)])
def test_bound_is_that_of_clopper_and_pearson(errors, rows):
    exact = stats.binomtest(errors, rows).proportion_ci(0.9, method="exact")
    assert upper_bound(errors, rows, 0.95) == pytest.approx(exact.high)


@pytest.mark.parametrize(("max_error", "confidence"), [(0.05, 0.95), (0.01, 0.9), (0.3, 0.99)])
@pytest.mark.parametrize("errors", [0, 1, 3])
def test_fewest_rows_are_those_of_the_loop(errors, max_error, confidence):
    rows = errors + 1
    while upper_bound(errors, rows, confidence) > max_error:
        rows += 1
    assert fewest_rows(errors, max_error, confidence) == rows


def walk(levels, wrong, max_error, confidence, start, step):
    """Fixed-sequence testing, one threshold after the other."""
    found, counts = None, []
    for k in [*range(start, len(levels), step), len(levels)]:
        threshold = sorted(levels, reverse=True)[k] if k < len(levels) else -np.inf
        n = int((levels > threshold).sum())
        if n >= start and n not in counts:
            counts.append(n)
            errors = int(wrong[levels > threshold].sum())
            if stats.binom.cdf(errors, n, max_error) > 1 - confidence:
                return found
            found = (threshold, n, errors)
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("digits", [15, 1])
def test_threshold_is_that_of_the_loop(seed, digits):
    rng = np.random.default_rng(seed)
    levels = np.round(rng.beta(4, 1, 300), digits)
    wrong = rng.random(300) > levels
    start = next(r for e in (3, 2, 1, 0) if (r := fewest_rows(e, 0.2, 0.9)) <= 300)
    wanted = walk(levels, wrong, 0.2, 0.9, start, 3)
    found = largest_coverage(levels, wrong, 0.2, 0.9)
    assert (None if found is None else (found.threshold, found.rows, found.errors)) == wanted


def draw(rng, n):
    """Rows whose error falls with the confidence, and how wrong they are in truth."""
    level = 0.5 + 0.5 * rng.beta(3, 1, n)
    y = (rng.random(n) > level).astype(int)
    return np.stack([level, 1 - level], axis=1), y


#: Quantiles of the confidence of these rows.
GRID = 0.5 + 0.5 * stats.beta(3, 1).ppf((np.arange(200_000) + 0.5) / 200_000)


def risk_above(threshold):
    """Error rate of all rows above a threshold, by integration."""
    kept = GRID[threshold < GRID]
    return (1 - kept).mean() if len(kept) else 0.0


def test_error_is_bounded_with_the_confidence():
    rng = np.random.default_rng(0)
    broken, shares = 0, []
    for _ in range(400):
        found = SelectiveClassifier(max_error=0.08, kind="probs").fit(*draw(rng, 300))
        broken += risk_above(found.threshold_) > 0.08
        shares.append(found.accepted_ / 300)
    assert broken / 400 <= 0.06
    assert np.mean(shares) > 0.3


def test_nothing_is_accepted_where_nothing_can_be_bounded():
    rng = np.random.default_rng(0)
    probs, y = draw(rng, 300)
    found = SelectiveClassifier(max_error=0.05).fit(probs, 1 - y)
    assert (found.accepted_, found.threshold_, found.bound_) == (0, np.inf, None)
    assert (found.predict(probs) == -1).all()


def test_all_rows_are_accepted_where_all_are_right():
    probs, _ = draw(np.random.default_rng(0), 300)
    found = SelectiveClassifier(max_error=0.05).fit(probs, probs.argmax(axis=1))
    assert found.threshold_ == -np.inf
    assert found.bound_ == pytest.approx(upper_bound(0, 300, 0.95))
    assert (found.predict(probs) == probs.argmax(axis=1)).all()


def test_coverage_is_a_share_of_the_rows_and_takes_no_labels():
    probs, y = draw(np.random.default_rng(0), 200)
    found = SelectiveClassifier(coverage=0.25).fit(probs)
    assert (found.predict(probs) >= 0).sum() == found.accepted_ == 50
    assert found.errors_ is None
    assert SelectiveClassifier(coverage=0.25).fit(probs, y).errors_ is not None
    assert SelectiveClassifier(coverage=1.0).fit(probs).accepted_ == 200


def test_order_of_rows_does_not_matter():
    probs, y = draw(np.random.default_rng(0), 300)
    order = np.random.default_rng(1).permutation(300)
    one = SelectiveClassifier(max_error=0.1).fit(probs, y)
    other = SelectiveClassifier(max_error=0.1).fit(probs[order], y[order])
    assert one.threshold_ == other.threshold_


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "`max_error` must be given, or else `coverage`, got neither"),
        ({"max_error": 0.1, "coverage": 0.5}, "`max_error` must be given, or else .*, got both"),
        ({"max_error": 0.0}, r"`max_error` must be in \(0, 1\], got 0.0"),
        ({"max_error": 1.0}, r"`max_error` must be in \(0, 1\), got 1.0"),
        ({"coverage": 0.0}, r"`coverage` must be in \(0, 1\], got 0.0"),
        ({"max_error": 0.05}, "`scores` must be an array of 59 rows or more to bound an error"),
    ],
)
def test_bad_options_are_named(options, message):
    probs, y = draw(np.random.default_rng(0), 10)
    with pytest.raises(ValueError, match=message):
        SelectiveClassifier(**options).fit(probs, y)


def test_labels_are_needed_for_a_guarantee():
    probs, _ = draw(np.random.default_rng(0), 100)
    with pytest.raises(ValueError, match="`y` must be one label per row, got None"):
        SelectiveClassifier(max_error=0.1).fit(probs)
