"""Predictions: scores that carry their kind and names."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch

from postproc import Predictions
from postproc.scores.sources import Source


@pytest.mark.parametrize(
    ("dtype", "output"),
    [
        (np.float16, np.float32),
        (np.float32, np.float32),
        (">f4", np.float32),
        (np.float64, np.float64),
        (np.longdouble, np.float64),
        (np.int8, np.float64),
        (np.int64, np.float64),
        (bool, np.float64),
    ],
)
def test_width_of_the_output(dtype, output):
    assert Predictions.check(np.eye(3, dtype=dtype)).output_dtype == output


def test_names_are_kept_as_text(probs):
    checked = Predictions.check(probs, classes=[1, 2, 3, "x"], ids=range(20), name="mine")
    assert checked.classes == ("1", "2", "3", "x")
    assert checked.ids.tolist() == [str(i) for i in range(20)]
    assert (checked.kind, checked.n_rows, checked.n_classes) == ("probs", 20, 4)
    assert checked.class_name(3) == "x"
    assert Predictions.check(probs).class_name(3) == "3"


def test_predictions_do_not_change(probs):
    with pytest.raises(dataclasses.FrozenInstanceError):
        Predictions.check(probs).kind = "logits"


def test_probabilities_by_blocks_are_those_of_the_whole():
    logits = np.random.default_rng(0).normal(size=(3000, 900)) * 5
    checked = Predictions.check(logits)
    parts = [checked.probabilities(rows) for rows in checked.blocks()]
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(parts), checked.probabilities())
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(checked.probabilities(), expected, rtol=1e-12)
    np.testing.assert_allclose(checked.log_probabilities(), np.log(expected), rtol=1e-10)


def test_two_names_alike_or_too_few(probs):
    cases = [
        ({"classes": "abc"}, "`class names of p` must be one per column (4), got 3 names"),
        (
            {"classes": "dcbb"},
            "`class names of p` must be unique, got 'b' more than once",
        ),
        ({"ids": []}, "`ids of p` must be one per row (20), got 0 names"),
        (
            {"ids": [5, 5, *range(18)]},
            "`ids of p` must be unique, got '5' more than once; "
            "postproc pool makes one row of those that share an id; of a table, --id-column names "
            "another column of ids, or - for none",
        ),
        (
            {"ids": np.arange(20)[:, None]},
            "`ids of p` must be one-dimensional, got shape (20, 1)",
        ),
    ]
    for options, message in cases:
        with pytest.raises(ValueError) as caught:
            Predictions.check(probs, name="p", **options)
        assert str(caught.value) == message


def test_scores_are_checked_as_everywhere():
    with pytest.raises(ValueError) as caught:
        Predictions.check([[0.5, np.nan]], name="p")
    assert str(caught.value) == "`p, row 0, column 1` must be a finite number, got nan"
    with pytest.raises(ValueError, match="`p` must be clearly logits or clearly probabilities"):
        Predictions.check([[0.5, 0.4]], name="p")
    assert Predictions.check([[0.5, 0.4]], kind="logits").kind == "logits"
    assert Predictions.check([[0.5, 0.4]], multilabel=True).kind == "probs"
    assert Predictions.check([[0.5, 0.504]], narrow=True).kind == "probs"


def test_tensors_will_do(probs):
    checked = Predictions.check(torch.tensor(probs))
    np.testing.assert_allclose(checked.probabilities(), probs, rtol=1e-12)
    assert checked.output_dtype == np.float64


# --- aligning by name ---

NAMES, IDS = ("a", "b", "c", "d"), np.array([f"r{i}" for i in range(20)])


def shuffled(probs, seed=0):
    """Rows and columns in another order, with their names."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(20), rng.permutation(4)
    scores = probs[np.ix_(rows, columns)]
    return Predictions.check(scores, classes=np.array(NAMES)[columns], ids=IDS[rows], name="p")


@pytest.mark.parametrize("kind", ["array", "tensor", "source", "fortran"])
def test_aligned_rows_and_columns_are_those_of_the_original(probs, kind, tmp_path):
    moved = shuffled(probs)
    if kind == "tensor":
        moved = dataclasses.replace(moved, scores=torch.tensor(moved.scores))
    elif kind == "fortran":
        moved = dataclasses.replace(moved, scores=np.asfortranarray(moved.scores))
    elif kind == "source":
        np.save(tmp_path / "p.npy", moved.scores)
        mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
        moved = dataclasses.replace(moved, scores=mapped).streamed()
    found = moved.align(classes=NAMES, ids=IDS)
    assert (found.classes, found.ids is IDS) == (NAMES, True)
    np.testing.assert_array_equal(found.scores[:], probs)
    np.testing.assert_array_equal(found.scores[3:9], probs[3:9])
    np.testing.assert_array_equal(found.scores[np.array([5, 2])], probs[[5, 2]])
    np.testing.assert_allclose(found.probabilities(slice(2, 7)), probs[2:7], rtol=1e-15)
    np.testing.assert_array_equal(found.winners(), probs.argmax(axis=1))
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.log_probabilities(), found.log_probabilities())
    assert isinstance(found.probabilities(), torch.Tensor) == (kind == "tensor")


def test_nothing_is_read_before_it_is_asked_for(probs):
    class Untouched(Source):
        shape, dtype = (20, 4), probs.dtype

        def read(self, rows):
            seen.append(rows)
            return probs[rows]

    seen = []
    found = Predictions(Untouched(), "probs", NAMES, IDS).align(classes=NAMES[::-1], ids=IDS)
    assert seen == []
    np.testing.assert_array_equal(found.scores[4:6], probs[4:6, ::-1])
    assert seen == [slice(4, 6)]


def test_probabilities_do_not_depend_on_the_order_of_columns():
    logits = np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32)
    names, order = [str(c) for c in range(30)], np.random.default_rng(1).permutation(30)
    p = Predictions.check(logits, classes=names)
    found = p.align(classes=[names[c] for c in order])
    np.testing.assert_array_equal(found.probabilities(), p.probabilities()[:, order])
    np.testing.assert_array_equal(found.log_probabilities(), p.log_probabilities()[:, order])


@pytest.mark.parametrize("scores", [[[1, -2], [0, 5]], [[0.75, 0.25], [0.5, 0.5]]])
def test_classes_that_scores_lack_have_probability_zero(scores):
    p = Predictions.check(scores, classes=["c", "a"])
    found = p.align(classes=NAMES, missing_class="zero")
    assert (p.unknown, found.unknown) == ((), ("b", "d"))
    whole = np.zeros((2, 4))
    whole[:, [2, 0]] = p.probabilities()
    np.testing.assert_array_equal(found.probabilities(), whole)
    assert np.exp(found.log_probabilities()[:, 1]).max() == pytest.approx(1.2e-38, rel=0.1)
    np.testing.assert_array_equal(found.winners(), whole.argmax(axis=1))
    filled = -np.inf if p.kind == "logits" else 0
    np.testing.assert_array_equal(found.scores[:][:, 1], [filled] * 2)
    assert found.scores.dtype == found.scores[:].dtype == np.float64
    twice = found.align(classes=NAMES[::-1])
    assert twice.unknown == ("d", "b")
    np.testing.assert_array_equal(twice.log_probabilities(), found.log_probabilities()[:, ::-1])
    np.testing.assert_array_equal(twice.align(classes=NAMES).probabilities(), whole)


def test_aligning_twice_is_aligning_once(probs):
    first, second = shuffled(probs, 1), shuffled(probs, 2)
    found = first.align(classes=second.classes, ids=second.ids).align(classes=NAMES, ids=IDS)
    np.testing.assert_array_equal(found.scores[:], probs)
    assert found.scores.source is first.scores


def test_what_is_in_order_or_without_names_stays_as_it_is(probs):
    plain = Predictions.check(probs)
    found = plain.align(classes=NAMES, ids=IDS)
    assert found.scores is plain.scores
    assert (found.classes, found.ids is IDS) == (NAMES, True)
    assert found.align().scores is plain.scores
    assert found.align(classes=NAMES, ids=IDS.copy()).scores is plain.scores
    for options, message in [
        ({"classes": "abc"}, "must be an array of 3 classes like x, got 4 classes without names; "),
        ({"ids": IDS[:3]}, "must be an array of 3 rows like x, got 20 rows"),
    ]:
        with pytest.raises(ValueError) as caught:
            plain.align(**options, like="x")
        assert str(caught.value).startswith(f"`predictions` {message}")


def test_names_that_differ_are_listed(probs):
    p, rule = shuffled(probs), "must be those of x, in any order, got"
    for options, message in [
        ({"classes": list("abcx")}, f"`class names of p` {rule} 'd' instead of 'x'"),
        ({"classes": list("abcdx")}, f"`class names of p` {rule} all but 'x'; missing_class="),
        ({"ids": IDS[:-1]}, f"`ids of p` {rule} 'r19' in addition; common_rows=True"),
        ({"classes": NAMES, "missing_class": "none"}, "`missing_class` must be one of "),
    ]:
        with pytest.raises(ValueError) as caught:
            p.align(**options, like="x")
        assert str(caught.value).startswith(message)
