"""Abstention: the bound against its definition, the guarantee by simulation, and bad input."""

import numpy as np
import pytest
from scipy import stats

from postproc import SelectiveClassifier
from postproc.decisions.abstention import STARTS, fewest_rows, largest_coverage, upper_bound


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


def walk(levels, wrong, max_error, confidence, start, step, starts):
    """The fallback procedure, one threshold after the other, from its definition."""
    n_rows, found, stops = len(levels), (np.inf, 0, 0), []
    counts = [*range(start, n_rows, step), n_rows]
    wanted = [start + (n_rows - start) * j / max(1, len(starts) - 1) for j in range(len(starts))]
    own = [0.0] * len(counts)
    for place, share in zip(wanted, starts, strict=True):
        own[next(i for i, k in enumerate(counts) if k >= place)] += share * (1 - confidence)
    level, tested = 0.0, 0
    for i, k in enumerate(counts):
        level += own[i]
        threshold = sorted(levels, reverse=True)[k] if k < n_rows else -np.inf
        n = int((levels > threshold).sum())
        if n < start or n == tested:
            continue
        ahead = i + 1  # tied thresholds are one test, at the level of all
        while ahead < len(counts) and counts[ahead] < n_rows:
            if (levels > sorted(levels, reverse=True)[counts[ahead]]).sum() != n:
                break
            level, own[ahead], ahead = level + own[ahead], 0.0, ahead + 1
        tested, errors = n, int(wrong[levels > threshold].sum())
        if stats.binom.cdf(errors, n, max_error) <= level:
            found = (threshold, n, errors)
        elif level:
            stops.append((n, errors))
            level = 0.0
    return *found, stops


@pytest.mark.parametrize("starts", [STARTS, (1.0,), (0.5, 0.5)])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("digits", [15, 1])
def test_threshold_is_that_of_the_loop(seed, digits, starts):
    rng = np.random.default_rng(seed)
    levels = np.round(rng.beta(4, 1, 300), digits)
    wrong = rng.random(300) > levels
    first = 1 - starts[0] * (1 - 0.9)
    start = next(r for e in (3, 2, 1, 0) if (r := fewest_rows(e, 0.2, first)) <= 300)
    wanted = walk(levels, wrong, 0.2, 0.9, start, 3, starts)
    found = largest_coverage(levels, wrong, 0.2, 0.9, starts)
    stops = [(test.rows, test.errors) for test in found.failed]
    assert (found.threshold, found.rows, found.errors, stops) == wanted


def test_an_accident_among_the_first_rows_is_not_the_end():
    """Of 300 rows 40 are wrong, many of them among the most confident."""
    wrong = np.zeros(300, dtype=bool)
    wrong[:12] = wrong[40:68] = True
    found = largest_coverage(np.linspace(1, 0.5, 300), wrong, 0.2, 0.95)
    assert (found.rows, found.errors, found.threshold) == (300, 40, -np.inf)
    assert largest_coverage(np.linspace(1, 0.5, 300), wrong, 0.2, 0.95, (1.0,)).rows == 0


def test_few_rows_are_tested_at_the_whole_level():
    """59 rows without an error bound it by 5 % at the level of 5 %, and not at 4 %."""
    assert (
        largest_coverage(np.linspace(1, 0.5, 59), np.zeros(59, dtype=bool), 0.05, 0.95).rows == 59
    )


def test_the_tests_that_failed_say_why():
    wrong = np.arange(300) % 4 == 0
    found = SelectiveClassifier(max_error=0.2).fit(*_rows(wrong))
    assert found.accepted_ == 0
    assert [rows for rows, _, _ in found.failed_][-1] == 300
    shares = np.array(STARTS) * 0.05
    for (rows, errors, bound), share in zip(found.failed_, shares, strict=True):
        assert errors == wrong[:rows].sum()
        exact = stats.binomtest(errors, rows).proportion_ci(1 - 2 * share, method="exact")
        assert bound == pytest.approx(exact.high)
        assert bound > 0.2


def _rows(wrong):
    """Rows of falling confidence, and labels of which some are others than the likeliest class."""
    level = np.linspace(0.99, 0.51, len(wrong))
    return np.stack([level, 1 - level], axis=1), wrong.astype(int)


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
    assert np.mean(shares) > 0.28


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
