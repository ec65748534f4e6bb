"""The grammar of errors."""

import numpy as np
import pytest
import torch

from postproc.scores.checks import (
    check_choice,
    check_count,
    check_label_rows,
    check_labels,
    check_number,
    one_line,
    printable,
)


def test_values_pass_as_plain_python():
    assert check_number(np.float32(0.5), "x", low=0, high=1) == 0.5
    assert type(check_count(np.int64(3), "x", low=1)) is int
    assert check_choice("a", "x", ("a", "b")) == "a"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: check_number(1.3, "threshold", low=0, high=1),
            ValueError,
            "`threshold` must be in [0, 1], got 1.3",
        ),
        (
            lambda: check_number(0, "alpha", low=0, open_low=True),
            ValueError,
            "`alpha` must be in (0, inf), got 0",
        ),
        (
            lambda: check_number(float("inf"), "x"),
            ValueError,
            "`x` must be a finite number, got inf",
        ),
        (lambda: check_number(True, "x"), TypeError, "`x` must be a finite number, got True"),
        (lambda: check_count(0, "x", low=1), ValueError, "`x` must be an integer >= 1, got 0"),
        (
            lambda: check_count(5, "x", low=1, high=4),
            ValueError,
            "`x` must be an integer in 1..4, got 5",
        ),
        (
            lambda: check_choice("c", "x", ("a", "b")),
            ValueError,
            '`x` must be one of "a", "b", got \'c\'',
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def test_labels_of_every_integral_kind_pass():
    for labels in ([0, 2], np.array([0.0, 2.0]), torch.tensor([0, 2]), np.array([0, 2], "u1")):
        got = check_labels(labels, n_classes=3, n_rows=2)
        assert got.dtype == np.int64
        assert got.tolist() == [0, 2]


UNLABELLED = "leave rows without a label out of predictions and labels"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3], "`labels[1]` must be an integer in 0..2, got 3"),
        ([0, -1], f"`labels[1]` must be an integer in 0..2, got -1; {UNLABELLED}"),
        ([0.5, 1], "`labels[0]` must be an integer in 0..2, got 0.5"),
        ([float("nan"), 1], f"`labels[0]` must be an integer in 0..2, got nan; {UNLABELLED}"),
        ([0], "`labels` must be as long as the predictions (2 rows), got 1 labels"),
        ([[0, 1]], "`labels` must be one label a row, shape (n,), got shape (1, 2)"),
    ],
)
def test_bad_labels_are_named(labels, message):
    with pytest.raises(ValueError) as error:
        check_labels(labels, n_classes=3, n_rows=2)
    assert str(error.value) == message


def test_labels_as_they_are_are_no_copy():
    labels = np.array([0, 2], "u1")
    assert np.shares_memory(check_label_rows(labels, n_classes=3), labels)
    wide = labels.astype(np.int64)
    assert not np.shares_memory(check_labels(wide, n_classes=3), wide)


def test_bad_labels_of_later_blocks_are_named_by_their_row():
    labels = np.zeros(500_000, int)
    labels[[370_007, 450_000]] = 3
    for check in (check_labels, check_label_rows):
        with pytest.raises(ValueError, match=r"`y\[370007\]` must be an integer in 0..2, got 3"):
            check(labels, n_classes=3, name="y")


def test_names_are_no_labels_here():
    with pytest.raises(TypeError) as error:
        check_labels(["a", "b"], n_classes=3)
    message = "`labels` must be integers in 0..2, got dtype <U1; class names need scores with "
    assert str(error.value) == message + "named columns, or `classes`"


def test_messages_are_one_line_that_a_terminal_does_not_obey():
    assert printable("red \x1b[31m alert") == r"red \x1b[31m alert"
    assert one_line(ValueError("two\nlines")) == "two lines"
    assert one_line(FileNotFoundError(2, "No such file", "a.npy")) == "a.npy: No such file"
