"""Kind of scores: decided once, for a whole array, by rules that are stated."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from postproc import check_scores, log_probabilities, probabilities
from postproc.jobs.engine import map_blocks
from postproc.scores.blocks import Sizes
from postproc.scores.detection import examine
from postproc.scores.kinds import two_class_rows
from tests.postproc.shuffled import Shuffled

VOTES = 'declare kind="votes" (--votes), which divides each row by its sum'
PERCENT = f"{VOTES}; beside files of logits, write it anew first: postproc convert --votes"
LOGITS = 'kind="logits" (--logits)'
MULTILABEL = "if each column is a label of its own, declare multilabel=True (--multilabel)"
STACK = (
    "an (m, n, C) stack holds m members, which ensemble, auto, report and inspect take (in Python, "
    "load_members)"
)
COLUMN = "a column that is clearly a probability or a logit of the positive class"
LABELS = (
    "one column of integers looks like labels, not predictions; if not, declare "
    'kind="probs" (--probs) or kind="logits" (--logits)'
)
LIBRARIES = [np.asarray, torch.as_tensor]
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def kind_of(scores, **options):
    return check_scores(scores, **options)[1]


def naive_kind(scores, tolerance):
    """The rule of the data contract, entry by entry; None where it is not clear."""
    rows = [row for row in scores if any(row)]
    if any(value < 0 for row in rows for value in row):
        return "logits" if len(rows) == len(scores) else None
    if len(rows) < len(scores):
        return None
    sums = [sum(row) for row in rows]
    if all(value <= 1 for row in rows for value in row):
        return "probs" if all(abs(total - 1) <= tolerance for total in sums) else None
    if len(rows) > 1 and max(sums) - min(sums) <= 0.01 * max(sums):
        return None
    return None if all(value == int(value) for row in rows for value in row) else "logits"


@settings(max_examples=200)
@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=4),
        elements=st.sampled_from([0.0, 0.2, 0.5, 0.5004, 0.8, 1.0, 1.0001, -0.0001, 7.0]),
    ),
    st.sampled_from(LIBRARIES),
)
def test_kind_is_that_of_the_rule(scores, library):
    expected = naive_kind(scores.tolist(), 1e-3)
    if expected is None:
        with pytest.raises(ValueError, match=r"must be (clearly logits|predicted in every row)"):
            check_scores(library(scores))
    else:
        assert kind_of(library(scores)) == expected


@pytest.mark.parametrize("dtype", FLOATS)
def test_tolerance_of_sums_depends_on_the_width(dtype, monkeypatch):
    narrow = dtype in (torch.float16, torch.bfloat16)
    for total, is_probs in ((1.0, True), (1.004, narrow), (0.996, narrow), (1.03, False)):
        scores = torch.tensor([[0.5, 0.5], [0.5, total - 0.5]], dtype=dtype)
        inputs = [scores] if dtype == torch.bfloat16 else [scores, scores.numpy()]
        for x in inputs:
            if is_probs:
                assert kind_of(x) == "probs"
                assert kind_of(x, kind="probs") == "probs"
            else:
                with pytest.raises(ValueError):
                    check_scores(x)


def test_scores_known_to_be_narrow_keep_their_tolerance_when_widened():
    assert kind_of([[0.5, 0.504]], narrow=True) == "probs"
    with pytest.raises(ValueError):
        check_scores([[0.5, 0.504]])


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, bool])
def test_integers_and_booleans(dtype):
    assert kind_of(np.eye(3, dtype=dtype)) == "probs"
    if dtype is not bool:
        assert kind_of(np.array([[3, 0], [1, 4]], dtype=dtype), kind="votes") == "votes"
        with pytest.raises(
            ValueError, match="got whole numbers >= 0, like counts of votes; declare"
        ):
            check_scores(np.array([[3, 0], [1, 4]], dtype=dtype))


def test_lists_will_do():
    assert kind_of([[0.25, 0.75]]) == "probs"
    assert kind_of([[1, -1]]) == "logits"


def test_peers_7_one_entry_does_not_reinterpret_the_rows():
    """An entry changed from .80 to .81 makes the array an error, not logits."""
    scores = np.tile([0.8, 0.2], (1000, 1))
    assert kind_of(scores) == "probs"
    scores[777, 0] = 0.81
    with pytest.raises(ValueError) as caught:
        check_scores(scores, name="a.npy")
    assert str(caught.value) == (
        "`a.npy` must be clearly logits or clearly probabilities, got values all in [0, 1] whose "
        f"row 777 sums to 1.01; if they are probabilities that were not normalized, {VOTES}, or "
        + LOGITS
    )
    assert kind_of(scores, kind="logits") == "logits"


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("at", [0, 499, 999])
def test_peers_8_kind_is_decided_per_array_not_per_block(library, at):
    """Rows that look like probabilities stay logits if any entry anywhere is outside [0, 1]."""
    scores = np.tile([0.3, 0.7], (1000, 1))
    scores[at] = [0.3, 1.7]
    for block_bytes in (16, 160, 10**6):
        sizes = Sizes(block=block_bytes, cached=block_bytes // 2)
        assert kind_of(library(scores), sizes=sizes) == "logits"
    with pytest.raises(ValueError) as caught:
        check_scores(library(scores), kind="probs", name="a.npy")
    assert str(caught.value) == (
        f"`a.npy, row {at}, column 1` must be in [0, 1] for probabilities, got 1.7; "
        "declare logits if they are"
    )


@pytest.mark.parametrize("block_bytes", [16, 10**6])
def test_the_first_fault_is_named_whatever_the_blocks(block_bytes):
    sizes = Sizes(block=block_bytes)
    outside = [[0.5, 0.5], [0.1, 1.5], [-0.5, 1.5], [0.5, 0.5]]
    with pytest.raises(ValueError, match="scores, row 1, column 1` must be in"):
        check_scores(outside, kind="probs", sizes=sizes)
    unlike = [[0.5, 0.5], [0.1, 0.5], [0.2, 0.5], [0.5, 0.5]]
    with pytest.raises(ValueError, match="scores, row 1` must be a row that sums to 1"):
        check_scores(unlike, kind="probs", sizes=sizes)


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_unlike_row_before_an_outside_one_is_still_logits(library):
    assert kind_of(library([[0.2, 0.2], [0.0, 5.0]])) == "logits"


@pytest.mark.parametrize("library", LIBRARIES)
def test_declared_probabilities_are_validated(library):
    with pytest.raises(ValueError) as caught:
        check_scores(library([[0.5, 0.5], [0.5, 0.3]]), kind="probs")
    assert str(caught.value) == (
        "`scores, row 1` must be a row that sums to 1 within 0.01 for probabilities, "
        f"got a sum of 0.8; {MULTILABEL}"
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_declared_probabilities_may_be_rounded(library):
    assert kind_of(library([[0.33, 0.33, 0.33], [0.5, 0.5, 0.0]]), kind="probs") == "probs"
    assert kind_of(library([[0.335, 0.335, 0.329]] * 2), kind="probs") == "probs"
    with pytest.raises(
        ValueError, match=r"sums to 1 within 0\.0015 for probabilities, got a sum of"
    ):
        check_scores(library([[0.335, 0.335, 0.332]]), kind="probs")
    with pytest.raises(
        ValueError, match=r"sums to 1 within 0\.001 for probabilities, got a sum of"
    ):
        check_scores(library([[0.33, 0.33, 0.33], [0.5, 0.4321, 0.0679]]), kind="probs")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("row", "mend"),
    [
        ([0.5, 0.48], f"if they are probabilities that were not normalized, {VOTES}"),
        ([0.55, 0.54], f"if they are probabilities that were not normalized, {VOTES}"),
        ([0.5, 0.3], MULTILABEL),
        ([0.9, 0.8], MULTILABEL),
        ([40.5, 59.5], f"percentages? {VOTES}"),
        ([100.0, 0.0], f"percentages? {VOTES}"),
        ([1.0, -1e-7], "clip them to [0, 1]"),
        ([1.0001, 0.0], "clip them to [0, 1]"),
        ([1.5, -0.5], "declare logits if they are"),
        ([140.0, -40.0], "declare logits if they are"),
    ],
)
def test_what_mends_declared_probabilities_is_seen_from_the_row(library, row, mend):
    with pytest.raises(ValueError) as caught:
        check_scores(library([[0.5, 0.5], row]), kind="probs")
    assert str(caught.value).startswith("`scores, row 1")
    assert str(caught.value).endswith(f"; {mend}")
    if min(row) < 0 or 1 < max(row) < 2:
        with pytest.raises(ValueError, match="declare logits if they are"):
            check_scores(library([[0.5, 0.5], row]), kind="probs", multilabel=True)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", [None, "logits", "probs"])
@pytest.mark.parametrize(("bad", "text"), [(np.nan, "nan"), (np.inf, "inf")])
def test_non_finite_scores_are_named(library, kind, bad, text):
    scores = np.full((50, 3), 1 / 3)
    scores[42, 1] = bad
    with pytest.raises(ValueError) as caught:
        check_scores(library(scores), kind=kind, name="preds.npy")
    assert str(caught.value) == f"`preds.npy, row 42, column 1` must be a finite number, got {text}"


@pytest.mark.parametrize("library", LIBRARIES)
def test_minus_infinity_is_a_logit_beside_a_finite_one(library):
    logits = np.array([[0.0, -np.inf, 1.0], [-np.inf, -np.inf, 5.0]])
    assert kind_of(library(logits)) == kind_of(library(logits), kind="logits") == "logits"
    probs = np.asarray(probabilities(library(logits), "logits"))
    np.testing.assert_allclose(probs, [[1 / (1 + np.e), 0, np.e / (1 + np.e)], [0, 0, 1]])
    assert (probs[~np.isfinite(logits)] == 0).all()
    logs = np.asarray(log_probabilities(library(logits), "logits"))
    np.testing.assert_allclose(logs, np.asarray(log_probabilities(library(probs), "probs")))
    with pytest.raises(ValueError) as caught:
        check_scores(library(np.vstack([logits, np.full(3, -np.inf)])))
    message = "`scores, row 2` must be a row with a finite score, got -inf in every column"
    assert str(caught.value) == message
    with pytest.raises(ValueError, match=r"row 0, column 1` must be in \[0, 1\] for .*, got -inf"):
        check_scores(library(logits), kind="probs")


@pytest.mark.parametrize("library", LIBRARIES)
def test_minus_infinity_of_a_label_of_its_own(library):
    logits = library(np.array([[-np.inf, -np.inf], [0.0, 3.0]]))
    assert kind_of(logits, multilabel=True) == "logits"
    assert two_class_rows(logits, "logits")[:2].tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("rows", "got", "mend"),
    [
        ([[40, 60], [1.5, 98.5]], "rows that sum to 100, like percentages", PERCENT),
        ([[33.3, 33.3, 33.3]], "rows that sum to 100, like percentages", PERCENT),
        ([[4, 8], [2.5, 9.5]], "rows that all sum to 12, like votes", f"{VOTES}, or {LOGITS}"),
        ([[7, 0], [3, 1]], "whole numbers >= 0, like counts of votes", f"{VOTES}, or {LOGITS}"),
        (
            [[0.2, 0.3], [0.4, 0.1]],
            "values all in [0, 1] whose row 0 sums to 0.5",
            f"if they are probabilities that were not normalized, {VOTES}, or {LOGITS}",
        ),
        (
            [[0.2, 0.3], [0.4, 0.9]],
            "values all in [0, 1] whose row 0 sums to 0.5",
            f"{MULTILABEL}, or {LOGITS}",
        ),
    ],
)
def test_what_is_not_clear_looks_like_something(library, rows, got, mend):
    with pytest.raises(ValueError) as caught:
        check_scores(library(np.array(rows)), name="a.npy")
    rule = "`a.npy` must be clearly logits or clearly probabilities"
    assert str(caught.value) == f"{rule}, got {got}; {mend}"


@pytest.mark.parametrize("library", LIBRARIES)
def test_votes_are_divided_by_their_sum(library):
    votes = library(np.array([[3, 1, 0], [0, 5, 5]]))
    assert kind_of(votes, kind="votes") == "votes"
    expected = [[0.75, 0.25, 0], [0, 0.5, 0.5]]
    assert probabilities(votes, "votes").tolist() == expected
    expected = np.log(np.maximum(expected, 1.1754943508222875e-38))
    np.testing.assert_allclose(np.asarray(log_probabilities(votes, "votes")), expected)
    with pytest.raises(ValueError, match="row 1, column 0` must be >= 0 for votes, got -2"):
        check_scores(library(np.array([[3, 1], [-2, 5]])), kind="votes")
    with pytest.raises(ValueError, match="`kind` must be logits or probs for labels that do not"):
        check_scores(votes, kind="votes", multilabel=True)


SKIP = "leave them out with skip_unpredicted=True (--skip-unpredicted)"


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("fill", "kind", "others", "got", "mend"),
    [
        (0.0, None, [0.5, 0.5], "all zero (the first is row 1)", SKIP),
        (0.0, "probs", [0.5, 0.5], "all zero (the first is row 1)", SKIP),
        (0.0, "votes", [4, 5], "all zero (the first is row 1)", SKIP),
        (
            0.0,
            None,
            [-4, 5],
            "all zero (the first is row 1)",
            f"{SKIP}, or declare {LOGITS} if zeros are their scores",
        ),
        (np.nan, None, [0.5, 0.5], "all NaN (the first is row 1)", SKIP),
        (np.nan, "logits", [-4, 5], "all NaN (the first is row 1)", SKIP),
    ],
)
def test_rows_that_were_never_predicted_are_counted(library, fill, kind, others, got, mend):
    scores = np.array([others] * 7, dtype=np.float64)
    scores[[1, 4]] = fill
    with pytest.raises(ValueError) as caught:
        check_scores(library(scores), kind=kind)
    message = f"`scores` must be predicted in every row, got 2 of 7 rows {got}; {mend}"
    assert str(caught.value) == message
    _, verdict = examine(library(scores), kind=kind, skip_unpredicted=True)
    assert verdict.unpredicted.tolist() == [1, 4]
    assert verdict.kind == (kind or ("logits" if others[0] < 0 else "probs"))
    with pytest.raises(
        ValueError, match=r"of 7 rows all NaN or all zero .*; it holds no predictio"
    ):
        examine(library(np.array([[0.0, 0.0]] * 6 + [[np.nan] * 2])), skip_unpredicted=True)


def test_logits_of_zero_are_legal_where_they_are_declared():
    assert kind_of(np.zeros((3, 2)), kind="logits") == "logits"


def test_infinities_that_cancel_are_found():
    with pytest.raises(ValueError, match="row 0, column 0` must be a finite number, got inf"):
        check_scores([[np.inf, -np.inf]])


@pytest.mark.parametrize("library", LIBRARIES)
def test_finite_scores_whose_sum_overflows_are_legal(library):
    assert kind_of(library(np.full((2, 2), 1e308))) == "logits"
    assert kind_of(library(np.full((2, 2), 3e38, dtype=np.float32))) == "logits"


@pytest.mark.parametrize(
    ("scores", "error", "message"),
    [
        (0.5, ValueError, "two-dimensional, (rows, classes), got shape ()"),
        (
            np.ones((1, 2, 3)),
            ValueError,
            f"two-dimensional, (rows, classes), got shape (1, 2, 3); {STACK}",
        ),
        (
            torch.ones(1, 2, 3),
            ValueError,
            f"two-dimensional, (rows, classes), got shape (1, 2, 3); {STACK}",
        ),
        ([[1.0]], ValueError, f"{COLUMN}, got only zeros and ones; {LABELS}"),
        ([2, 0], ValueError, f"{COLUMN}, got only whole numbers; {LABELS}"),
        (torch.tensor([[2], [0]]), ValueError, f"{COLUMN}, got only whole numbers; {LABELS}"),
        (np.ones((3, 0)), ValueError, "an array of 1 or more columns, got 0 columns"),
        (
            [[1, 2], [3]],
            ValueError,
            "an array with rows of equal length, got rows of different lengths",
        ),
        ([["a", "b"]], TypeError, "an array of real numbers, got dtype <U1"),
        ([[1j, 2]], TypeError, "an array of real numbers, got dtype complex128"),
        (torch.ones(1, 2) * 1j, TypeError, "an array of real numbers, got dtype torch.complex64"),
        ([[None, 1]], TypeError, "an array of real numbers, got dtype object"),
    ],
)
def test_what_is_no_scores(scores, error, message):
    with pytest.raises(error) as caught:
        check_scores(scores)
    assert str(caught.value) == f"`scores` must be {message}"


@pytest.mark.parametrize("kind", ["softmax", "Probs", 1, ["probs"]])
def test_kinds_that_there_are_not(kind):
    with pytest.raises(ValueError) as caught:
        check_scores([[0.5, 0.5]], kind=kind)
    asked = "; did you mean 'probs'?" if kind == "Probs" else ""
    rule = 'must be one of "logits", "probs", "votes"'
    assert str(caught.value) == f"`kind` {rule}, got {kind!r}{asked}"


def test_multilabel_columns_are_problems_of_their_own():
    assert kind_of([[0.9, 0.9]], multilabel=True) == "probs"
    assert kind_of([[0.9]], multilabel=True) == "probs"
    assert kind_of([[-2.0]], multilabel=True) == "logits"
    with pytest.raises(ValueError, match=re.escape("an array of 1 or more labels, got 0 columns")):
        check_scores(np.ones((2, 0)), multilabel=True)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_declared_probabilities_are_renormalized(library, dtype):
    scores = library(np.array([[0.5004, 0.5], [0.0, 1.0]], dtype=dtype))
    normed = probabilities(scores, "probs")
    assert str(normed.dtype).endswith(dtype)
    np.testing.assert_allclose(np.asarray(normed).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(normed)[0], [0.5004 / 1.0004, 0.5 / 1.0004], rtol=1e-6)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("dtype", "wide"),
    [("float16", "float32"), ("float32", "float32"), ("float64", "float64"), ("int16", "float64")],
)
def test_narrow_floats_are_computed_in_float32_and_integers_in_float64(library, dtype, wide):
    scores = library(np.array([[3, -1, 0]], dtype=dtype))
    assert str(probabilities(scores, "logits").dtype).endswith(wide)
    expected = np.exp([3, -1, 0]) / np.exp([3, -1, 0]).sum()
    np.testing.assert_allclose(np.asarray(probabilities(scores, "logits"))[0], expected, rtol=1e-6)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_peers_16_logarithms_of_exact_zeros_are_finite(library, dtype):
    scores = library(np.array([[0.0, 1.0]], dtype=dtype))
    logs = np.asarray(log_probabilities(scores, "probs"))
    np.testing.assert_allclose(logs, [[np.log(1.1754943508222875e-38), 0]], rtol=1e-6)


def test_log_probabilities_of_logits_keep_what_probabilities_lose():
    np.testing.assert_allclose(log_probabilities([[1000.0, 0.0]], "logits"), [[0, -1000]])


@pytest.mark.parametrize("library", LIBRARIES)
def test_two_class_rows_are_label_after_label(library):
    probs = library(np.array([[0.25, 1.0], [0.0, 0.5]]))
    rows = [[0.25, 0.75], [1, 0], [0, 1], [0.5, 0.5]]
    assert two_class_rows(probs, "probs").tolist() == rows
    logits = library(np.array([[-800.0, 0.0, np.log(3)]]))
    np.testing.assert_allclose(
        np.asarray(two_class_rows(logits, "logits")), [[0, 1], [0.5, 0.5], [0.75, 0.25]], atol=1e-12
    )


def test_blocks_checked_in_any_order_give_the_first_fault():
    options = {"map_blocks": partial(map_blocks, Shuffled(2)), "sizes": Sizes(block=8 * 2 * 3)}
    scores = np.full((20, 2), 0.5)
    assert check_scores(scores, **options)[1] == "probs"
    scores[[7, 15]] = [[0.25, 0.25], [0.1, 0.1]]
    with pytest.raises(ValueError, match=r"row 7 sums to 0\.5"):
        check_scores(scores, **options)
    scores[[4, 18], 1] = 3.0
    assert check_scores(scores, **options)[1] == "logits"
    with pytest.raises(ValueError, match="row 4, column 1"):
        check_scores(scores, kind="probs", **options)
