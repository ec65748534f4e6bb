"""Metrics against scikit-learn and per-row loops, and their invariances."""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st

from postproc import log_softmax, softmax
from postproc.evaluation.metrics import MetricAccumulator, evaluate, measure
from postproc.evaluation.sums import _condensed
from postproc.scores.blocks import Sizes
from tests.postproc.evaluation.test_reliability import ece_loop

NUMBERS = ("accuracy", "top5", "macro_f1", "log_loss", "brier", "ece")


def make(seed, n, n_classes, dtype=np.float64):
    """Logits that are right more often than not, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    logits = rng.normal(size=(n, n_classes)) * 2
    logits[np.arange(n), labels] += 2
    return logits.astype(dtype), labels


def numbers(metrics):
    return [getattr(metrics, name) for name in NUMBERS]


shapes = {
    "seed": st.integers(0, 2**32 - 1),
    "n": st.integers(1, 60),
    "n_classes": st.integers(2, 12),
}


@given(**shapes, as_probs=st.booleans(), dtype=st.sampled_from([np.float32, np.float64]))
def test_agree_with_scikit_learn(seed, n, n_classes, as_probs, dtype):
    logits, labels = make(seed, n, n_classes, dtype)
    probs = softmax(logits)
    kind = "probs" if as_probs else "logits"
    metrics = evaluate(probs if as_probs else logits, labels, kind=kind)
    predicted, everything = probs.argmax(axis=1), np.arange(n_classes)
    exact = softmax(logits.astype(np.float64))
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    assert metrics.accuracy == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    assert metrics.macro_f1 == pytest.approx(
        sklearn.metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    )
    if n_classes > 5:
        assert metrics.top5 == pytest.approx(
            sklearn.metrics.top_k_accuracy_score(labels, probs, k=5, labels=everything)
        )
    assert metrics.log_loss == pytest.approx(
        sklearn.metrics.log_loss(labels, exact, labels=everything), abs=tolerance
    )
    one_hot = np.eye(n_classes)[labels]
    assert metrics.brier == pytest.approx(
        ((exact - one_hot) ** 2).sum(axis=1).mean(), abs=tolerance
    )


@given(**shapes)
def test_ece_agrees_with_a_hand_made_one(seed, n, n_classes):
    logits, labels = make(seed, n, n_classes)
    probs = softmax(logits)
    right = probs.argmax(axis=1) == labels
    assert evaluate(logits, labels, kind="logits").ece == pytest.approx(
        ece_loop(probs.max(axis=1), right), abs=1e-12
    )


@given(**shapes, levels=st.integers(1, 3))
def test_top_five_are_the_first_five_of_a_stable_sort(seed, n, n_classes, levels):
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, levels + 1, (n, n_classes)), rng.integers(0, n_classes, n)
    hits = [
        y in sorted(range(n_classes), key=lambda j, row=row: (-row[j], j))[:5]
        for row, y in zip(scores, labels, strict=True)
    ]
    metrics = evaluate(scores, labels, kind="logits")
    assert metrics.top5 == pytest.approx(np.mean(hits))
    assert metrics.top5 >= metrics.accuracy


def test_a_tie_of_the_best_counts_for_the_lowest_class_only():
    metrics = evaluate(np.full((7, 7), 0.25), np.arange(7), kind="logits")
    assert metrics.accuracy == pytest.approx(1 / 7)
    assert metrics.top5 == pytest.approx(5 / 7)


def test_top_five_is_one_where_there_are_no_more_classes():
    logits, labels = make(0, 30, 5)
    assert evaluate(logits, labels).top5 == 1.0


def test_an_exact_zero_costs_much_and_stays_finite():
    metrics = evaluate([[1.0, 0.0], [1.0, 0.0]], [0, 1])
    assert metrics.log_loss == pytest.approx(-np.log(1.1754943508222875e-38) / 2)
    assert metrics.brier == 1.0


def test_certain_and_right_is_free():
    metrics = evaluate([[1.0, 0.0], [0.0, 1.0]], [0, 1])
    assert (metrics.log_loss, metrics.brier, metrics.ece) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("far", [100, 1e4, 1e30, np.inf])
def test_one_floor_for_probabilities_of_zero(far):
    logits = evaluate([[1.0, -far], [-far, 1.0]], [0, 0])
    probs = evaluate([[1.0, 0.0], [0.0, 1.0]], [0, 0])
    assert logits.log_loss == pytest.approx(probs.log_loss) == pytest.approx(87.3365447505 / 2)
    assert (logits.accuracy, logits.brier, logits.top5) == (0.5, 1, 1)


def test_votes_are_probabilities_once_divided():
    votes = np.array([[3, 1], [2, 6], [5, 0]])
    divided = evaluate(votes / votes.sum(1, keepdims=True), [0, 1, 1])
    assert numbers(evaluate(votes, [0, 1, 1], kind="votes")) == numbers(divided)


@given(seed=shapes["seed"], n=st.integers(2, 80))
def test_order_of_rows_does_not_matter(seed, n):
    logits, labels = make(seed, n, 7)
    order = np.random.default_rng(seed).permutation(n)
    np.testing.assert_allclose(
        numbers(evaluate(logits[order], labels[order], kind="logits")),
        numbers(evaluate(logits, labels, kind="logits")),
        rtol=1e-12,
    )


@given(seed=shapes["seed"], cuts=st.sets(st.integers(1, 79)), dtype=st.sampled_from("fd"))
def test_cuts_into_blocks_do_not_matter(seed, cuts, dtype):
    logits, labels = make(seed, 80, 7, dtype)
    accumulator = MetricAccumulator(labels, 7, kind="logits")
    for block in np.split(logits, sorted(cuts)):
        accumulator.update(block)
    got, whole = accumulator.result(), measure(logits, labels, kind="logits")
    np.testing.assert_allclose(numbers(got), numbers(whole), rtol=1e-12 if dtype == "d" else 1e-6)
    np.testing.assert_array_equal(accumulator.predicted, logits.argmax(axis=1))


@given(seed=shapes["seed"])
def test_logits_and_their_probabilities_are_worth_the_same(seed):
    logits, labels = make(seed, 50, 8)
    expected = numbers(evaluate(logits, labels))
    for scores in (logits + 3, log_softmax(logits), softmax(logits)):
        np.testing.assert_allclose(numbers(evaluate(scores, labels)), expected, rtol=1e-10)


@given(seed=shapes["seed"])
def test_names_of_classes_do_not_matter(seed):
    logits, labels = make(seed, 50, 8)
    order = np.random.default_rng(seed).permutation(8)
    np.testing.assert_allclose(
        numbers(evaluate(logits[:, order], np.argsort(order)[labels], kind="logits")),
        numbers(evaluate(logits, labels, kind="logits")),
        rtol=1e-12,
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_tensors_are_worth_the_same(dtype):
    logits, labels = make(0, 40, 6)
    tensor = torch.from_numpy(logits).to(dtype)
    expected = numbers(evaluate(tensor.double().numpy(), labels))
    np.testing.assert_allclose(numbers(evaluate(tensor, labels)), expected, rtol=1e-5)


def test_columns_in_memory_order_are_worth_the_same():
    logits, labels = make(0, 40, 6)
    assert numbers(evaluate(np.asfortranarray(logits), labels)) == numbers(evaluate(logits, labels))


def test_memory_does_not_hold_the_scores(tmp_path):
    logits, labels = make(0, 40_000, 100, np.float32)
    np.save(tmp_path / "logits.npy", logits)
    mapped = np.load(tmp_path / "logits.npy", mmap_mode="r")
    measure(mapped[:10], labels[:10], kind="logits")
    tracemalloc.start()
    measure(mapped, labels, kind="logits")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < logits.nbytes / 3


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["logits", "probs"])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_row_that_is_not_finite_is_an_error_and_never_right(bad, kind, label):
    scores = np.full((3, 3), 1 / 3)
    scores[1, 1] = bad
    message = f"`scores, row 1, column 1` must be a finite number, got {bad}"
    labels = np.full(3, label)
    with pytest.raises(ValueError) as caught:
        evaluate(scores, labels, kind=kind)
    assert str(caught.value) == message
    accumulator = MetricAccumulator(labels, 3, kind=kind)
    accumulator.update(scores[:1])
    with pytest.raises(ValueError) as caught:
        accumulator.update(scores[1:])
    assert str(caught.value) == message


def test_the_kind_is_that_of_the_whole_array_and_not_of_a_block():
    # The first rows could be probabilities; a block of them alone must not be taken for such.
    logits = np.concatenate([np.full((3000, 100), 0.01), np.full((3000, 100), -1.0)])
    logits[:, 0] += 0.005
    labels = np.zeros(6000, int)
    assert evaluate(logits, labels).ece == pytest.approx(1 - softmax(logits[:1])[0, 0], rel=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: evaluate([[0.2, 0.8]], [2]),
            ValueError,
            "`labels[0]` must be an integer in 0..1, got 2",
        ),
        (
            lambda: evaluate([[0.2, 0.8]], [0, 1]),
            ValueError,
            "`labels` must be as long as the predictions (1 rows), got 2 labels",
        ),
        (
            lambda: evaluate(np.empty((0, 2)), []),
            ValueError,
            "`labels` must be one label or more, got 0 labels",
        ),
        (
            lambda: MetricAccumulator([0], 2, kind="percent"),
            ValueError,
            '`kind` must be one of "logits", "probs", "votes", got \'percent\'',
        ),
        (
            lambda: MetricAccumulator([0], 1, kind="probs"),
            ValueError,
            "`n_classes` must be an integer >= 2, got 1",
        ),
        (
            lambda: MetricAccumulator([0], 2, kind="probs").update([[0.1, 0.2, 0.7]]),
            ValueError,
            "`scores` must be at most 1 rows of 2 classes, got shape (1, 3)",
        ),
        (
            lambda: MetricAccumulator([0], 2, kind="probs", name="a").update([[0.3, 0.7]] * 2),
            ValueError,
            "`a` must be at most 1 rows of 2 classes, got shape (2, 2)",
        ),
        (
            lambda: MetricAccumulator([0], 2, kind="probs").result(),
            ValueError,
            "`scores` must be as long as `labels` (1 rows), got 0 rows",
        ),
        (
            lambda: MetricAccumulator([0], 2, kind="probs").update([[0.0, 0.0]]),
            ValueError,
            "`scores, row 0` must be a row of probabilities with a positive sum, got [0. 0.]",
        ),
        (
            lambda: MetricAccumulator([1], 2, kind="logits").update([[-np.inf, -np.inf]]),
            ValueError,
            "`scores, row 0, column 0` must be a finite number, got -inf",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", ["probs", "logits"])
def test_metrics_of_blocks_are_those_of_one_piece(kind):
    rng = np.random.default_rng(3)
    scores = rng.dirichlet(np.ones(7), 500) if kind == "probs" else rng.normal(size=(500, 7))
    labels = rng.integers(0, 7, 500)
    whole = measure(scores, labels, kind=kind)
    parts = measure(scores, labels, kind=kind, sizes=Sizes(block=8 * 7 * 13, cached=8 * 7 * 5))
    assert (parts.correct, parts.top5, parts.macro_f1) == (
        whole.correct,
        whole.top5,
        whole.macro_f1,
    )
    assert parts.log_loss == pytest.approx(whole.log_loss, rel=1e-13)
    assert parts.brier == pytest.approx(whole.brier, rel=1e-13)
    assert parts.ece == pytest.approx(whole.ece, rel=1e-12)


def test_rows_of_later_blocks_are_named_by_their_number():
    scores = np.full((50, 2), 0.5)
    scores[37, 1] = np.nan
    small = Sizes(block=8 * 2 * 10)
    with pytest.raises(ValueError, match="row 37, column 1"):
        measure(scores, np.zeros(50, np.int64), kind="probs", sizes=small)


@given(st.lists(st.floats(0, 1e300), max_size=60))
def test_sums_are_condensed_without_loss(values):
    few = _condensed(values)
    assert sum(map(Fraction, few)) == sum(map(Fraction, values))


def test_a_sum_beyond_the_range_stays_infinite():
    assert _condensed([1.0, np.inf, 2.0]) == [np.inf]
