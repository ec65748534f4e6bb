"""Out-of-fold predictions of what is fitted to labelled rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from ensemble.base import Kinds, MemberEstimator, as_labels
from ensemble.learned.label_pool import log_odds_of
from ensemble.members import Members, check_members
from postproc.evaluation.folds import held_out, label_folds, random_folds
from postproc.scores.arrays import Array, as_native
from postproc.scores.checks import check_count, check_groups, fail
from postproc.scores.codes import coded
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.names import some
from postproc.scores.predictions import Predictions
from postproc.scores.row_subsets import keep_rows


@takes_frames("scores", labels={"y": "scores"}, returns="scores")
def out_of_fold(
    estimator: Any,
    scores: Any,
    y: Any,
    *,
    kinds: Kinds = None,
    classes: Sequence[str] | None = None,
    groups: Any = None,
    n_folds: int = 5,
    seed: int = 0,
) -> Array:
    """Predict labelled rows, each by a fit to the other folds.

    What was fitted to some rows looks too good on them. These predictions are honest: class
    weights, guarantees, reports and further ensembles can be fitted to or judged by them.

    Parameters
    ----------
    estimator : estimator
        An ensemble, a pipeline or a calibrator, fitted or not; clones of it are fitted.
    scores : array or tensor of shape (n, C), or sequence of M such arrays, or Members
        Scores of the rows: of a calibrator one array, of an ensemble those of each member.
    y : array_like of shape (n,)
        Labels; of labels that do not exclude each other zeros and ones, (n, C).
    kinds : {"logits", "probs"} or sequence of them, optional
        What the scores are; None detects it, once for all folds.
    classes : sequence of C str, optional
        Class names; by default those that the scores have.
    groups : array_like of shape (n,), optional
        What each row belongs to (a patient, a document). All rows of a group are in one fold, so
        that no row is predicted by a fit to others of its group; folds are as even as may be.
    n_folds : int
        Number of folds >= 2, drawn at random, whatever the order of the rows.
    seed : int
        Seed of the folds.

    Returns
    -------
    array or tensor of shape (n, C)
        Probabilities, of the type that `predict_proba` returns for such scores.

    Raises
    ------
    TypeError, ValueError
        If scores, labels or options are not valid, or no class has two rows.

    Warns
    -----
    UserWarning
        If all rows of a class are in one fold: what predicts them has seen no row of their class.
        Warnings of the fits are not repeated; a fit to all rows gives them.

    Examples
    --------
    >>> from postproc import TemperatureScaling
    >>> logits, y = [[4.0, -1.0], [3.0, 0.0], [0.0, 3.0], [2.0, 0.0]] * 5, [0, 0, 1, 1] * 5
    >>> out_of_fold(TemperatureScaling(), logits, y).shape
    (20, 2)
    """
    members = _as_members(estimator, scores, kinds, classes, multilabel=np.ndim(y) == 2)
    labels = as_labels(y, members)
    n_folds = check_count(n_folds, "n_folds", low=2)
    seed = check_count(seed, "seed", low=0)
    own = None if groups is None else check_groups(groups, members.n_rows)
    folds, labels = _folds(members, labels, n_folds, seed, own)
    parts: list[Array] = []
    places: list[NDArray[np.int64]] = []
    for held in held_out(folds):
        fitted = clone(estimator)
        places.append(np.flatnonzero(held))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            inside, outside = (
                Members(tuple(keep_rows(member, kept) for member in members))
                for kept in (~held, held)
            )
            if isinstance(estimator, MemberEstimator):
                fitted.fit(inside, labels[~held])
                parts.append(fitted.predict_proba(outside))
            else:
                fitted.kind = members.kinds[0]
                fitted.fit(inside[0].scores[:], labels[~held], classes=members.classes)
                found = fitted.predict_proba(outside[0].scores[:])
                parts.append(members[0].as_given(found))
    xp, order = api.array_namespace(parts[0]), np.argsort(np.concatenate(places))
    return xp.concat(parts)[as_native(order, parts[0])]


def _as_members(
    estimator: Any, scores: Any, kinds: Kinds, classes: Sequence[str] | None, *, multilabel: bool
) -> Members:
    """Checked members; the scores of a calibrator are one."""
    if isinstance(estimator, MemberEstimator):
        return check_members(scores, kinds=kinds, classes=classes, multilabel=multilabel)
    if isinstance(scores, Members):
        return scores
    kind: Any = getattr(estimator, "kind", None) if kinds is None else kinds
    checked = Predictions.check(
        scores, kind=kind, classes=classes, name="scores", multilabel=multilabel
    )
    return Members((checked,))


def _folds(
    members: Members,
    labels: NDArray[np.int64],
    n_folds: int,
    seed: int,
    groups: NDArray[np.int64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Fold of each row, (n,), and labels (n,) or (n, m)."""
    n_rows, n_classes = members.n_rows, members.n_classes
    if members.multilabel:
        if n_rows < 2:
            fail("scores", "arrays of 2 rows or more", f"{n_rows}")
        labels = labels.reshape(n_rows, n_classes)
        z = log_odds_of(members.two_class(), slice(0, labels.size), n_classes)
        return label_folds(z, labels, min(n_folds, n_rows), seed, groups), labels
    counts = np.bincount(labels, minlength=n_classes)
    if counts.max(initial=0) < 2:
        fail("y", "labels of which a class has 2 rows or more", f"{counts.max(initial=0)} at most")
    # Not stratified: a class bias is to be judged on class frequencies that it has not seen.
    mean = members.log_tensor(slice(0, n_rows)).mean(axis=0)
    folds = random_folds(mean, labels, min(n_folds, n_rows), seed, groups)
    spread = np.zeros((n_folds, n_classes), dtype=bool)
    spread[folds, labels] = True
    alone = np.flatnonzero(spread.sum(axis=0) == 1).tolist()
    if alone:
        shown = some([members[0].class_name(column) for column in alone])
        said = (
            f"{len(alone)} of {n_classes} classes have all their rows in one fold ({shown}): their "
            "out-of-fold predictions are by a fit without their class"
        )
        warnings.warn(coded("unseen-classes", said), UserWarning, stacklevel=4)
    return folds, labels
