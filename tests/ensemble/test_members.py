"""Members: alignment by names, kinds, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import ensemble
from ensemble import align_members, check_members
from ensemble.members import check_weights
from postproc import Predictions, softmax

CLASSES = ("ant", "bee", "cat", "dog")
IDS = np.array([f"row{i}" for i in range(9)])


def predictions(seed=0, **names):
    scores = softmax(np.random.default_rng(seed).standard_normal((9, 4)))
    return Predictions.check(scores, name=f"m{seed}", **names)


def permuted(p, rows=None, columns=None):
    rows = np.arange(9) if rows is None else rows
    columns = np.arange(4) if columns is None else columns
    return Predictions.check(
        p.scores[rows][:, columns],
        classes=None if p.classes is None else [p.classes[c] for c in columns],
        ids=None if p.ids is None else p.ids[rows],
        name=p.name,
    )


@pytest.mark.parametrize("method", ["soft", "log", "hard", "median", "rank"])
@pytest.mark.parametrize("seed", range(3))
def test_permuted_columns_and_rows_give_the_same_answer(method, seed):
    """PEERS.md 2: scikit-learn averages unlike classes without an error."""
    rng = np.random.default_rng(seed)
    a, b = predictions(0, classes=CLASSES, ids=IDS), predictions(1, classes=CLASSES, ids=IDS)
    moved = permuted(b, rng.permutation(9), rng.permutation(4))
    voting = ensemble.Voting(method)
    expected = voting.fit(align_members([a, b])).predict_proba(align_members([a, b]))
    aligned = align_members([a, moved])
    np.testing.assert_allclose(voting.predict_proba(aligned), expected, atol=1e-15)
    assert aligned.classes == CLASSES
    np.testing.assert_array_equal(aligned.ids, IDS)


def test_torch_members_are_aligned_too():
    a, b = predictions(0, classes=CLASSES, ids=IDS), predictions(1, classes=CLASSES, ids=IDS)
    moved = permuted(b, np.arange(9)[::-1], np.array([2, 0, 3, 1]))
    tensors = [
        Predictions(torch.asarray(p.scores), p.kind, p.classes, p.ids, p.name) for p in (a, moved)
    ]
    votes = ensemble.soft_vote(align_members(tensors))
    np.testing.assert_allclose(votes.numpy(), ensemble.soft_vote([a.scores, b.scores]))


def test_what_is_in_order_is_not_moved():
    pair = [predictions(0, classes=CLASSES, ids=IDS), predictions(1, classes=CLASSES, ids=IDS)]
    members = align_members(pair)
    assert all(m.scores is p.scores for m, p in zip(members, pair, strict=True))


def test_members_without_names_follow_by_place():
    a, b = predictions(0, classes=CLASSES, ids=IDS), predictions(1)
    members = align_members([b, a])
    assert members.classes == CLASSES
    assert members[0].scores is b.scores
    np.testing.assert_allclose(
        ensemble.soft_vote(members), ensemble.soft_vote([a.scores, b.scores])
    )


def test_number_like_class_names_are_names():
    """PEERS.md 1: labels 10/20/30 are "unseen labels" to scikit-learn."""
    a = Predictions.check([[0.7, 0.2, 0.1]], classes=["10", "20", "30"], name="a")
    b = Predictions.check([[0.1, 0.2, 0.7]], classes=["30", "20", "10"], name="b")
    members = align_members([a, b])
    np.testing.assert_allclose(ensemble.hard_vote(members), [[1, 0, 0]])
    np.testing.assert_allclose(ensemble.soft_vote(members), [[0.7, 0.2, 0.1]])


def unlike(names, like=CLASSES):
    a = predictions(0, classes=like)
    b = Predictions.check(np.full((9, len(names)), 1 / len(names)), classes=names, name="b")
    return [a, b]


@pytest.mark.parametrize(
    ("names", "got"),
    [
        (("ant", "bee", "cat", "eel"), "'eel' instead of 'dog'"),
        (("ant", "bee", "cat"), "all but 'dog'"),
        ((*CLASSES, "eel", "fox"), "'eel', 'fox' in addition"),
        (("p", "q", "r", "s"), "'p', 'q', 'r', ... instead of 'ant', 'bee', 'cat', ..."),
    ],
)
def test_unlike_classes_are_an_error(names, got):
    with pytest.raises(ValueError) as error:
        align_members(unlike(names))
    rule = "`class names of b` must be those of the other members, in any order, got "
    mend = '; missing_class="zero" (--missing-class zero) gives them probability 0'
    assert str(error.value) == rule + got + ("" if "instead" in got else mend)


def test_unlike_ids_are_an_error():
    a, b = predictions(0, ids=IDS), predictions(1, ids=[*IDS[:-1], "other"])
    with pytest.raises(ValueError) as error:
        align_members([a, b])
    message = (
        "`ids of m1` must be those of the other members, in any order, got 'other' instead of "
        "'row8'; common_rows=True (--common-rows) keeps only the rows that all have"
    )
    assert str(error.value) == message
    with pytest.raises(
        ValueError, match="; write ids alike; if these are files of folds, postproc pool"
    ):
        align_members([a, predictions(1, ids=[f"other{row}" for row in range(9)])])
    b = Predictions.check(np.full((8, 4), 0.25), ids=IDS[:-1], name="m1")
    with pytest.raises(ValueError) as error:
        align_members([a, b])
    message = (
        "`ids of m1` must be those of the other members, in any order, got all but 'row8'; "
        "common_rows=True (--common-rows) keeps only the rows that all have"
    )
    assert str(error.value) == message


def test_unnamed_members_must_agree_in_shape():
    a = predictions(0, classes=CLASSES, ids=IDS)
    with pytest.raises(ValueError) as error:
        align_members([a, Predictions.check(np.full((9, 3), 1 / 3), name="b")])
    message = (
        "`b` must be an array of 4 classes like the other members, got 3 classes without names; "
        "add class names (--classes), so that columns can be matched"
    )
    assert str(error.value) == message
    with pytest.raises(ValueError) as error:
        align_members([a, Predictions.check(np.full((8, 4), 0.25), name="b")])
    assert str(error.value) == "`b` must be an array of 9 rows like the other members, got 8 rows"


# --- missing classes ---


def test_missing_class_zero_lets_a_member_take_part_and_says_so():
    """PEERS.md 2: a (0, 1) model and a (1, 2) model."""
    a = Predictions.check([[0.9, 0.1]], classes=["0", "1"], name="a")
    b = Predictions.check([[-1.0, 1.0]], classes=["1", "2"], name="b")
    members = align_members([a, b], missing_class="zero")
    assert members.classes == ("0", "1", "2")
    assert members.missing == {"a": ("2",), "b": ("0",)}
    p = softmax(np.array([-1.0, 1.0]))
    np.testing.assert_allclose(
        ensemble.soft_vote(members), [[0.45, (0.1 + p[0]) / 2, p[1] / 2]], atol=1e-12
    )
    with pytest.warns(UserWarning, match="exactly 0"):
        assert np.isfinite(ensemble.log_pool(members)).all()
    np.testing.assert_array_equal(ensemble.hard_vote(members).round(5), [[0.5, 0, 0.5]])


def test_missing_class_zero_in_the_order_of_a_fitted_ensemble():
    a = Predictions.check([[0.9, 0.1]], classes=["y", "x"], name="a")
    members = align_members([a], missing_class="zero", classes=["x", "y", "z"])
    np.testing.assert_allclose(ensemble.soft_vote(members), [[0.1, 0.9, 0.0]])
    assert members.missing == {"a": ("z",)}
    with pytest.raises(ValueError) as error:
        align_members([a], missing_class="zero", classes=["x", "z"])
    message = (
        "`class names of a` must be those of the other members, in any order, got 'y' instead of "
        "'z'"
    )
    assert str(error.value) == message


def test_bad_missing_class():
    with pytest.raises(ValueError) as error:
        align_members([predictions()], missing_class="skip")
    assert str(error.value) == '`missing_class` must be one of "error", "zero", got \'skip\''


# --- arrays without names ---


def test_kind_is_of_the_whole_member():
    scores = np.full((3, 2), 0.5)
    scores[2] = [1.5, -0.5]
    members = check_members([scores, np.full((3, 2), 0.5)])
    assert members.kinds == ("logits", "probs")


def test_declared_kinds():
    ambiguous = np.full((2, 2), 0.4)
    assert check_members([ambiguous] * 2, kinds="logits").kinds == ("logits", "logits")
    assert check_members([ambiguous, [[0.5, 0.5]] * 2], kinds=["logits", None]).kinds == (
        "logits",
        "probs",
    )


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        ([], {}, "`members` must be one array or more, got none"),
        (
            np.zeros((2, 3)),
            {},
            "`members` must be a sequence of (n, C) arrays, got one array of shape (2, 3)",
        ),
        (
            [np.float64(3)],
            {},
            "`members[0]` must be two-dimensional, (rows, classes), got shape ()",
        ),
        (
            [np.eye(2), np.full((3, 2), 0.5)],
            {},
            "`members[1]` must be of shape (2, 2) like members[0], got shape (3, 2); members must "
            "have the same rows",
        ),
        (
            [np.eye(2)] * 2,
            {"kinds": ["probs"]},
            "`kinds` must be one per member (2), or one for all, got 1 kinds",
        ),
        (
            [np.eye(2)],
            {"kinds": "odds"},
            '`kind` must be one of "logits", "probs", "votes", got \'odds\'',
        ),
        ([np.eye(2)], {"names": ["a", "b"]}, "`names` must be one per member (1), got 2 names"),
    ],
)
def test_bad_members(members, options, message):
    with pytest.raises(ValueError) as error:
        check_members(members, **options)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ("ab", "`members` must be a sequence of (n, C) arrays, got str"),
        (3, "`members` must be a sequence of (n, C) arrays, got int"),
        (
            [np.eye(2), torch.eye(2)],
            "`members` must be all NumPy arrays or all torch tensors, got both (members[0] and "
            "members[1] differ)",
        ),
        ([[["a", "b"]]], "`members[0]` must be an array of real numbers, got dtype <U1"),
    ],
)
def test_members_of_a_wrong_type(members, message):
    with pytest.raises(TypeError) as error:
        check_members(members)
    assert str(error.value) == message


def test_checked_members_pass_through():
    members = check_members([np.eye(2)])
    assert check_members(members) is members
    with pytest.raises(ValueError) as error:
        check_members(members, kinds="probs")
    message = "`kinds` must be omitted for members that are checked already, got kinds or names"
    assert str(error.value) == message


def test_members_must_correspond():
    a, b = predictions(0, classes=CLASSES, ids=IDS), predictions(1, classes=CLASSES, ids=IDS)
    members = ensemble.Members((a, b))
    assert (members.classes, members.n_rows, members.n_classes) == (CLASSES, 9, 4)
    assert members.ids is IDS or (members.ids == IDS).all()
    others = "must be those of m0, got others; match them by `align_members`"
    for other, message in [
        (replace(b, classes=CLASSES[::-1]), f"`classes of m1` {others}"),
        (replace(b, classes=None), f"`classes of m1` {others}"),
        (replace(b, ids=IDS[::-1]), f"`ids of m1` {others}"),
        (
            replace(b, scores=b.scores[:, :3]),
            "`m1` must be of shape (9, 4) like m0, got ",
        ),
    ]:
        with pytest.raises(ValueError) as error:
            ensemble.Members((a, other))
        assert str(error.value).startswith(message)
    with pytest.raises(ValueError, match="`members` must be one array or more, got none"):
        ensemble.Members(())


def test_weights_sum_to_one():
    np.testing.assert_allclose(check_weights([2, 1, 1], 3), [0.5, 0.25, 0.25])
    np.testing.assert_allclose(check_weights(None, 4), 0.25)


def test_common_rows_are_matched_by_id_in_the_order_of_the_first():
    a, b = predictions(0, classes=CLASSES, ids=IDS), predictions(1, classes=CLASSES, ids=IDS)
    first, second = permuted(a, np.arange(7)), permuted(b, np.array([8, 6, 2, 3, 7]))
    found = align_members([first, second], common_rows=True)
    assert found.ids.tolist() == ["row2", "row3", "row6"]
    np.testing.assert_array_equal(found[1].scores[:], b.scores[[2, 3, 6]])
    assert found[0].predicted.tolist() == [row in (2, 3, 6) for row in range(7)]
    same = align_members([a, b], common_rows=True)
    assert same[0] is a or same[0].scores is a.scores
    with pytest.raises(ValueError, match="to find the rows that all have, got no ids"):
        align_members([a, predictions(1)], common_rows=True)
