"""Voting against a loop over rows, its ties, its invariances and its errors."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import ensemble
from ensemble.base import combine_all
from ensemble.pools import TIE_LIFT, linear_pool, max_pool, row_draws
from postproc import softmax
from postproc.scores.blocks import Sizes

VOTES = {
    "soft": ensemble.soft_vote,
    "log": ensemble.log_pool,
    "hard": ensemble.hard_vote,
    "median": ensemble.median_vote,
    "rank": ensemble.rank_vote,
}
each_vote = pytest.mark.parametrize("method", VOTES)


def members_of(seed=0, m=3, n=7, c=4):
    rng = np.random.default_rng(seed)
    return [softmax(2 * rng.standard_normal((n, c))) for _ in range(m)]


# --- the oracle: a loop over rows, written from the definitions ---


def lift(votes, support):
    """Scale to sum 1 and raise the winner of a tie, decided by support."""
    best = max(votes)
    tied = [j for j, v in enumerate(votes) if v >= best - 1e-7]
    if len(tied) > 1:
        most = max(support[j] for j in tied)
        winner = next(j for j in tied if support[j] >= most - 1e-7)
        votes = [v * (1 + TIE_LIFT) if j == winner else v for j, v in enumerate(votes)]
    return [v / sum(votes) for v in votes]


def naive_row(rows, w, method, zeros):
    c = len(rows[0])
    linear = [sum(w[m] * p[j] for m, p in enumerate(rows)) for j in range(c)]
    if method == "soft":
        return linear
    if method == "log":
        z = [sum(w[m] * math.log(p[j] or zeros[m]) for m, p in enumerate(rows)) for j in range(c)]
        e = [math.exp(v - max(z)) for v in z]
        return [v / sum(e) for v in e]
    if method == "hard":
        votes = [
            sum(w[m] for m, p in enumerate(rows) if list(p).index(max(p)) == j) for j in range(c)
        ]
        return lift(votes, linear)
    if method == "rank":
        points = [
            sum(
                w[m] * (sum(q < p[j] for q in p) + (sum(q == p[j] for q in p) - 1) / 2)
                for m, p in enumerate(rows)
            )
            for j in range(c)
        ]
        return lift(points, linear)
    medians = []
    for j in range(c):
        pairs = sorted((p[j], w[m]) for m, p in enumerate(rows))
        reached, low, high = 0.0, None, None
        for value, weight in pairs:
            reached += weight
            low = value if low is None and reached >= 0.5 - 1e-9 else low
            high = value if high is None and reached >= 0.5 + 1e-9 else high
        medians.append((low + high) / 2)
    return [v / sum(medians) for v in medians] if sum(medians) > 0 else linear


def naive(members, weights, method):
    w = np.asarray(weights, dtype=float)
    w = (w / w.sum()).tolist()
    rows = [[list(map(float, p[i] / p[i].sum())) for p in members] for i in range(len(members[0]))]
    zeros = [min(p for row in rows for p in row[m] if p > 0) / 2 for m in range(len(members))]
    return np.array([naive_row(row, w, method, zeros) for row in rows]).reshape(members[0].shape)


@each_vote
@pytest.mark.parametrize("weights", [[1, 1, 1], [3, 2, 1], [1, 0, 0], [2, 1, 1]])
def test_matches_the_loop(method, weights):
    members = members_of()
    votes = VOTES[method](members, weights=weights)
    np.testing.assert_allclose(votes, naive(members, weights, method), atol=1e-12)


@pytest.mark.filterwarnings("ignore:probabilities of exactly 0")
@each_vote
@settings(max_examples=30)
@given(data=st.data(), m=st.integers(1, 4), n=st.integers(1, 5), c=st.integers(2, 6))
def test_matches_the_loop_for_any_shape_and_zeros(method, data, m, n, c):
    counts = arrays(np.int64, (n, c), elements=st.integers(0, 3)).filter(
        lambda x: x.sum(axis=1).min() > 0
    )
    members = [x / x.sum(axis=1, keepdims=True) for x in (data.draw(counts) for _ in range(m))]
    weights = data.draw(st.lists(st.integers(0, 3), min_size=m, max_size=m).filter(any))
    votes = VOTES[method](members, weights=weights, kinds="probs")
    np.testing.assert_allclose(votes, naive(members, weights, method), atol=1e-9)
    np.testing.assert_allclose(votes.sum(axis=1), 1, atol=1e-12)


@each_vote
def test_logits_and_probabilities_may_be_mixed(method):
    logits = [np.log(p) + 3.0 for p in members_of()]
    mixed = [softmax(logits[0]), logits[1], logits[2]]
    expected = VOTES[method](members_of())
    np.testing.assert_allclose(VOTES[method](mixed), expected, atol=1e-12)


@pytest.mark.filterwarnings("ignore:probabilities of exactly 0")
@each_vote
def test_invariant_to_the_order_of_equal_members(method):
    members = [np.round(p, 2).astype(np.float32) for p in members_of(m=5, n=300)]
    members = [p / p.sum(axis=1, keepdims=True) for p in members]
    there, back = VOTES[method](members), VOTES[method](members[::-1])
    np.testing.assert_allclose(there, back, rtol=0, atol=1.2e-7)


@each_vote
def test_weights_follow_their_members(method):
    members = members_of()
    there = VOTES[method](members, weights=[1, 2, 3])
    back = VOTES[method](members[::-1], weights=[3, 2, 1])
    np.testing.assert_allclose(there, back, atol=1e-14)


@each_vote
def test_invariant_to_the_order_of_rows(method):
    members, order = members_of(n=50), np.random.default_rng(0).permutation(50)
    shuffled = VOTES[method]([p[order] for p in members])
    np.testing.assert_array_equal(shuffled, VOTES[method](members)[order])


@each_vote
def test_invariant_to_the_order_of_classes(method):
    members, order = members_of(c=6), np.random.default_rng(0).permutation(6)
    relabelled = VOTES[method]([p[:, order] for p in members])
    np.testing.assert_allclose(relabelled, VOTES[method](members)[:, order], atol=1e-14)


@each_vote
@pytest.mark.parametrize("tie", ["support", "random"])
def test_invariant_to_chunks(method, tie):
    members = ensemble.check_members(members_of(n=40))
    options = {"tie": tie} if method in ("hard", "rank") else {}
    voting = ensemble.Voting(method, **options).fit(members)
    blocks = combine_all(voting, members, Sizes(member=3 * 8 * 4))
    np.testing.assert_array_equal(blocks, VOTES[method](members, **options))


@each_vote
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_torch_gives_what_numpy_gives(method, dtype):
    members = [np.log(p).astype(dtype) for p in members_of(n=20)]
    votes = VOTES[method]([torch.asarray(p) for p in members])
    assert isinstance(votes, torch.Tensor)
    atol = 1e-12 if dtype == np.float64 else 1e-6
    np.testing.assert_allclose(votes.numpy(), VOTES[method](members), atol=atol)


@each_vote
@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        ((np.float32, np.float16), np.float32),
        ((np.float32, np.float64), np.float64),
        ((np.int64, np.float32), np.float64),
    ],
)
def test_output_is_as_wide_as_the_widest_member(method, dtypes, expected):
    members = [np.array([[4, -2], [-3, 5]]).astype(dtype) for dtype in dtypes]
    assert VOTES[method](members).dtype == expected


@each_vote
def test_no_rows_are_legal(method):
    votes = VOTES[method]([np.zeros((0, 3))] * 2, kinds="logits")
    assert votes.shape == (0, 3)


@each_vote
def test_one_member_keeps_its_winners(method):
    member = members_of(m=1, n=30)[0]
    np.testing.assert_array_equal(VOTES[method]([member]).argmax(1), member.argmax(1))


def test_one_changed_entry_changes_one_row():
    """PEERS.md 7: scikit-learn reads every row as logits where one entry goes from .80 to .81."""
    a = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    changed = a.copy()
    changed[0, 0] = 0.8005
    before, after = ensemble.soft_vote([a, a]), ensemble.soft_vote([changed, a])
    np.testing.assert_array_equal(before[1:], after[1:])


# --- ties ---

TIED = [np.array([[0.6, 0.3, 0.1]]), np.array([[0.1, 0.8, 0.1]])]


def test_tie_support_takes_the_larger_sum_of_probabilities():
    votes = ensemble.hard_vote(TIED, tie="support")
    assert votes.argmax() == 1
    np.testing.assert_allclose(votes, [[0.5, 0.5, 0.0]], atol=1e-6)


def test_tie_lowest_takes_the_lowest_class():
    assert ensemble.hard_vote(TIED, tie="lowest").argmax() == 0


def test_tie_support_that_is_level_takes_the_lowest_class():
    level = [np.array([[0.1, 0.6, 0.3]]), np.array([[0.1, 0.3, 0.6]])]
    assert ensemble.hard_vote(level).argmax() == 1


def test_tie_in_float32_still_has_its_winner_on_top():
    votes = ensemble.hard_vote([p.astype(np.float32) for p in TIED])
    assert votes.dtype == np.float32
    assert votes.argmax() == 1


def test_tie_of_sums_with_rounding_errors_is_a_tie():
    one, two = np.array([[0.9, 0.1]]), np.array([[0.2, 0.8]])
    members = [one, one, two]
    assert 0.1 + 0.2 != 0.3
    assert ensemble.hard_vote(members, weights=[0.1, 0.2, 0.3], tie="lowest").argmax() == 0
    assert ensemble.hard_vote(members[::-1], weights=[0.3, 0.2, 0.1], tie="lowest").argmax() == 0


def test_tie_random_draws_each_tied_class_and_repeats_with_its_seed():
    members = [np.repeat(p, 3000, axis=0) for p in TIED]
    votes = ensemble.hard_vote(members, tie="random", seed=3).argmax(axis=1)
    assert set(votes) == {0, 1}
    assert abs(votes.mean() - 0.5) < 0.05
    again = ensemble.hard_vote(members, tie="random", seed=3).argmax(axis=1)
    other = ensemble.hard_vote(members, tie="random", seed=4).argmax(axis=1)
    np.testing.assert_array_equal(votes, again)
    assert (votes != other).any()


def test_tie_of_a_winner_does_not_depend_on_other_rows():
    """PEERS.md 14: crowd-kit's winner of a tie depends on the order of the rows."""
    rows = [np.vstack([p, q]) for p, q in zip(TIED, TIED[::-1], strict=True)]
    votes = ensemble.hard_vote(rows).argmax(axis=1)
    backwards = ensemble.hard_vote([r[::-1] for r in rows]).argmax(axis=1)
    np.testing.assert_array_equal(votes, backwards[::-1])


def test_tie_inside_a_member_is_a_vote_for_the_lowest_class():
    assert ensemble.hard_vote([[[0.2, 0.4, 0.4]]]).argmax() == 1


def test_rank_tie_is_settled_by_support():
    members = [np.array([[0.5, 0.4, 0.1]]), np.array([[0.1, 0.8, 0.1]])]
    points = [np.array([[2, 1, 0]]), np.array([[0.5, 2, 0.5]])]
    assert (sum(points)).argmax() == 1
    level = [np.array([[0.5, 0.4, 0.1]]), np.array([[0.3, 0.6, 0.1]])]
    assert ensemble.rank_vote(level).argmax() == 1
    assert ensemble.rank_vote(level, tie="lowest").argmax() == 0
    assert ensemble.rank_vote(members).argmax() == 1


def test_row_draws_do_not_depend_on_blocks():
    whole = row_draws(slice(0, 100), 7)
    parts = [row_draws(slice(a, a + 10), 7) for a in range(0, 100, 10)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


# --- zeros ---


def test_a_zero_of_the_log_pool_is_half_of_the_least_positive_probability():
    a, b = [[0.8, 0.2, 0.0], [0.4, 0.6, 0.0]], [[0.1, 0.3, 0.6]] * 2
    expected = ensemble.log_pool([[[0.8, 0.2, 0.1], [0.4, 0.6, 0.1]], b], kinds="votes")
    with pytest.warns(
        UserWarning, match=r"least positive one: 0.1 in members\[0\] \(33% of them\)"
    ):
        votes = ensemble.log_pool([a, b])
    np.testing.assert_allclose(votes, expected, atol=1e-12)


@pytest.mark.filterwarnings("ignore:probabilities of exactly 0")
def test_log_pool_of_members_that_rule_out_everything_is_no_nan():
    votes = ensemble.log_pool([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]])
    np.testing.assert_allclose(votes, np.array([[2, 2, 2**0.5]]) / (4 + 2**0.5), atol=1e-12)


def test_median_of_members_that_agree_on_nothing_is_the_mean():
    members = [np.eye(3)[[m]] for m in range(3)]
    np.testing.assert_allclose(ensemble.median_vote(members), [[1 / 3] * 3], atol=1e-12)


# --- memory ---


def test_memory_is_one_output(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{m}.npy" for m in range(4)]
    for path in paths:
        np.save(path, rng.standard_normal((60_000, 20), dtype=np.float32))
    tracemalloc.start()
    votes = ensemble.soft_vote([np.load(path, mmap_mode="r") for path in paths])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert type(votes) is np.ndarray
    # Beside the output: a handful of blocks (8 MiB is the largest, that of check_scores).
    assert peak < votes.nbytes + 40 * 2**20


# --- peers' misbehaviour ---


def test_labels_are_not_needed_and_never_cast():
    """PEERS.md 1: scikit-learn's hard vote fails on labels that are not 0..C-1."""
    votes = ensemble.hard_vote(members_of())
    assert votes.shape == (7, 4)


def test_members_of_unlike_width_are_an_error():
    """PEERS.md 3: scikit-learn says "inhomogeneous shape" and nothing of classes."""
    message = (
        "`members[1]` must be of shape (2, 3) like members[0], got shape (2, 2); members must "
        "have the same classes; match those with names by `align_members`"
    )
    with pytest.raises(ValueError) as error:
        ensemble.soft_vote([np.full((2, 3), 1 / 3), np.full((2, 2), 0.5)])
    assert str(error.value) == message


def test_nan_is_an_error():
    """PEERS.md 4: scikit-learn's soft vote makes a NaN row class 0 without a word."""
    bad = np.array([[0.5, 0.5], [np.nan, 0.5]])
    with pytest.raises(ValueError) as error:
        ensemble.soft_vote([np.full((2, 2), 0.5), bad])
    assert str(error.value) == "`members[1], row 1, column 0` must be a finite number, got nan"


def test_negative_weights_are_an_error():
    """PEERS.md 5: scikit-learn accepts them."""
    with pytest.raises(ValueError) as error:
        ensemble.soft_vote(members_of(m=2), weights=[1, -1])
    assert str(error.value) == "`weights[1]` must be a finite number >= 0, got -1"


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_weights_may_be_an_array(kind):
    """PEERS.md 6: mlxtend asks for the truth value of the array."""
    votes = ensemble.soft_vote(members_of(m=2), weights=kind([1.0, 3.0]))
    np.testing.assert_allclose(votes, naive(members_of(m=2), [1, 3], "soft"), atol=1e-12)


# --- errors ---


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "`weights` must be one number per member, shape (2,), got shape (1,)"),
        ([0, 0], "`weights` must be positive for at least one member, got only zeros"),
        ([1, np.nan], "`weights[1]` must be a finite number >= 0, got nan"),
        ([np.inf, 1], "`weights[0]` must be a finite number >= 0, got inf"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises(ValueError) as error:
        ensemble.soft_vote(members_of(m=2), weights=weights)
    assert str(error.value) == message


def test_weights_of_text():
    with pytest.raises(TypeError) as error:
        ensemble.soft_vote(members_of(m=2), weights=["a", "b"])
    assert str(error.value) == "`weights` must be an array of real numbers, got dtype <U1"


def test_huge_weights_do_not_overflow():
    votes = ensemble.soft_vote(members_of(m=2), weights=[1e308, 1e308])
    np.testing.assert_allclose(votes, naive(members_of(m=2), [1, 1], "soft"), atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m: ensemble.soft_vote(m, pool="mean"),
            '`pool` must be one of "linear", "log", got \'mean\'',
        ),
        (
            lambda m: ensemble.hard_vote(m, tie="first"),
            '`tie` must be one of "support", "lowest", "random", got \'first\'',
        ),
        (
            lambda m: ensemble.hard_vote(m, tie="random", seed=-1),
            "`seed` must be an integer >= 0, got -1",
        ),
        (
            lambda m: ensemble.Voting("mode").fit(m),
            '`method` must be one of "soft", "hard", "log", "median", "rank", got \'mode\'',
        ),
    ],
)
def test_bad_options(call, message):
    with pytest.raises(ValueError) as error:
        call(members_of())
    assert str(error.value) == message


@pytest.mark.parametrize("method", ["soft", "hard", "median", "rank"])
def test_weights_below_0_of_a_damaged_model_are_refused(method):
    members = list(np.random.default_rng(0).dirichlet(np.ones(3), (2, 5)))
    voting = ensemble.Voting(method).fit(members)
    voting.member_weights_ = np.array([1.5, -0.5])
    with pytest.raises(ValueError, match=r"`weights` must be at least 0, got -0\.5"):
        voting.predict_proba(members)


def test_the_maximum_is_over_members_of_some_weight():
    a, b, c = members_of()
    for weights, counted in (([0.5, 0.5, 0.0], [a, b]), ([0.0, 0.2, 0.8], [b, c])):
        highest = np.max(counted, axis=0)
        wanted = highest / highest.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(max_pool([a, b, c], np.array(weights)), wanted, atol=1e-15)


def test_the_linear_pool_is_as_wide_as_its_members():
    members = [each.astype(np.float32) for each in members_of()]
    weights = np.array([0.2, 0.3, 0.5])
    assert linear_pool(members, weights).dtype == np.float32
    assert linear_pool([members[0].astype(float), *members[1:]], weights).dtype == np.float64


@pytest.mark.parametrize(
    ("weights", "rule"), [([1.2, -0.2], "at least 0"), ([0.5, 0.4], "a vector that sums to 1")]
)
def test_weights_of_pools_are_shares(weights, rule):
    with pytest.raises(ValueError, match=f"`weights` must be {rule}, got"):
        linear_pool(members_of(m=2), np.array(weights))
