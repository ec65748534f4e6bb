"""Lines of fastText: labels with probabilities, or labels alone."""

import numpy as np
import pytest

from postproc.files import Reading, load_labels, load_predictions

PROBS = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5], [0.1, 0.8, 0.1]])
NAMES = ("cat", "dog", "owl")


def write(path, probs, names, k):
    lines = []
    for row in probs:
        order = np.argsort(-row, kind="stable")[:k]
        lines.append(" ".join(f"__label__{names[c]} {row[c]}" for c in order))
    path.write_text("\n".join(lines) + "\n\n")
    return path


def test_all_classes_in_order_of_their_scores(tmp_path):
    loaded = load_predictions(write(tmp_path / "a.txt", PROBS, NAMES, 3), classes=NAMES)
    np.testing.assert_array_equal(loaded.scores, PROBS)


@pytest.mark.parametrize("k", [1, 2])
def test_a_part_of_the_classes_is_refused(tmp_path, k):
    with pytest.raises(ValueError, match="k = -1 in fastText"):
        load_predictions(write(tmp_path / "a.txt", PROBS, NAMES, k))


def test_the_likelier_of_two_classes(tmp_path):
    probs = np.array([[0.75, 0.25], [0.375, 0.625]])
    path = write(tmp_path / "a.txt", probs, NAMES, 1)
    with pytest.raises(ValueError, match="convert --layout long"):
        load_predictions(path)
    with pytest.warns(UserWarning, match="one of two classes"):
        loaded = load_predictions(path, reading=Reading(long=True))
    np.testing.assert_array_equal(loaded.scores, probs)


@pytest.mark.parametrize("text", ["", " and its text"])
def test_labels_alone(tmp_path, text):
    path = tmp_path / "y.txt"
    path.write_text("".join(f"__label__{name}{text}\n" for name in NAMES))
    np.testing.assert_array_equal(load_labels(path, n_classes=3, classes=NAMES), [0, 1, 2])


def test_other_lines_among_predictions_are_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("__label__cat 0.7\n__label__dog\n")
    with pytest.raises(ValueError, match="line 2 must hold labels with probabilities"):
        load_predictions(path)
