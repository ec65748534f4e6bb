"""Base of all ensembles: scikit-learn's interface, with one array per member."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, Self

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ensemble.members import Members, check_members
from postproc.scores.arrays import Array, as_numpy
from postproc.scores.binary import winners
from postproc.scores.blocks import DEFAULT_SIZES, Sizes, row_blocks
from postproc.scores.checks import check_labels, fail
from postproc.scores.estimators import ClassesMixin
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.multilabel import check_label_matrix, label_scores
from postproc.scores.predictions import Predictions
from postproc.scores.threads import blas_threads_for
from postproc.scores.zeros import Zeros, are_absent, warn_of_zeros

Kinds = Sequence[Kind | None] | Kind | None


class Combiner(Protocol):
    """Combines blocks of rows."""

    def combine(self, members: Members, rows: slice) -> Array:
        """Probabilities of some rows, shape (k, C)."""


class MemberEstimator(ClassesMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Base of what is fitted to members. A subclass has `_fit` and `predict_proba`.

    Attributes
    ----------
    n_members_, n_classes_ : int
        Number of members M and of classes C.
    names_ : list of M str
        Names of the members, in their order.
    kinds_ : list of M str
        The kind of each member's scores, in `fit` and in `predict_proba`.
    classes_ : ndarray of shape (C,)
        Class names, or 0..C-1 if there are none.
    member_weights_ : ndarray of shape (M,)
        The weight of each member.
    solo_accuracy_ : ndarray of shape (M,), or None
        Accuracy of each member alone on the fit split; None without labels.
    log_zeros_ : list of M floats, or None
        Logarithms that exact zeros of the members count as: that of half of the least positive
        probability on the fit split, or log 1.2e-38 where there is no zero. None where no
        logarithms are taken, and in models of the first release.
    """

    #: Whether `fit` needs labels.
    needs_labels = True

    #: Whether it works on logarithms, in which exact zeros must count as something.
    reads_logs = True

    n_members_: int
    n_classes_: int
    names_: list[str]
    kinds_: list[str]
    log_zeros_: list[float] | None = None

    member_weights_: NDArray[np.float64]
    solo_accuracy_: NDArray[np.float64] | None

    @takes_frames("members", labels={"y": "members"})
    def fit(
        self,
        members: Iterable[Any],
        y: Any = None,
        *,
        kinds: Kinds = None,
        classes: Sequence[str] | None = None,
        multilabel: bool = False,
    ) -> Self:
        """Fit to the members' scores on the fit split.

        Parameters
        ----------
        members : sequence of M arrays or tensors of shape (n, C), or Members
            Scores of each member on the labelled rows.
        y : array_like of shape (n,)
            Labels: integers in 0..C-1, or class names if the members have them. Voting needs
            none. With `multilabel` zeros and ones, shape (n, C).
        kinds : {"logits", "probs"} or sequence of them, optional
            The kind of all members or of each; None detects it.
        classes : sequence of C str, optional
            Class names; by default those that the members have.
        multilabel : bool
            Whether every column is a label of its own, and each entry a row of two classes.
            `Members` know this themselves.

        Raises
        ------
        TypeError, ValueError
            If members, labels or options are not valid.
        """
        checked = check_members(members, kinds=kinds, classes=classes, multilabel=multilabel)
        labels = None
        if y is not None:
            labels = as_labels(y, checked)
        elif self.needs_labels:
            fail("y", "one label per row", None)
        if self.needs_labels and checked.n_rows == 0:
            fail("members", "arrays of one or more rows to fit on", "no row")
        self.n_members_ = len(checked)
        self.n_classes_ = checked.n_classes
        self.names_ = list(checked.names)
        self.kinds_ = list(checked.kinds)
        self.multilabel_ = checked.multilabel
        self.class_names_, names = None, checked.classes
        if checked.multilabel:
            self._check_multilabel()
            checked = checked.two_class()
        elif names is not None:
            self.class_names_ = list(names)
        self.solo_accuracy_ = None if labels is None else solo_accuracy(checked, labels)
        zeros = checked.zeros() if self.reads_logs else []
        if self.reads_logs:
            # Members of a pool within an ensemble have been raised already.
            each = zip(zeros, checked, strict=True)
            self.log_zeros_ = [max(found.log, member.log_zero) for found, member in each]
            if labels is not None:
                zeros = [
                    Zeros() if found.share and _lacks(member, labels) else found
                    for found, member in zip(zeros, checked, strict=True)
                ]
            checked = checked.raised(self.log_zeros_)
        with blas_threads_for(len(checked) * checked.n_rows * checked.n_classes):
            self._fit(checked, labels)
        warn_of_zeros(zeros, self.names_ if zeros else [], stacklevel=3)
        self.class_names_ = None if names is None else list(names)
        return self

    def predict_proba(self, members: Iterable[Any], *, kinds: Kinds = None) -> Array:
        """Probabilities of other rows, shape (n, C)."""
        raise NotImplementedError

    @takes_frames("members", returns="classes")
    def predict(self, members: Iterable[Any], *, kinds: Kinds = None) -> Array:
        """Predicted class of each row, an integer in 0..C-1; ties to the lowest class.

        Of multi-label members zeros and ones, shape (n, C): 1 where the probability is 1/2 or more.
        """
        return winners(self.predict_proba(members, kinds=kinds), multilabel=self.multilabel_)

    @takes_frames("members")
    def check_members(self, members: Iterable[Any], *, kinds: Kinds = None) -> Members:
        """Members that are those seen in `fit`: number, names, order, classes and kinds agree."""
        check_is_fitted(self, "n_members_")
        checked = check_members(members, kinds=kinds, multilabel=self.multilabel_)
        if checked.multilabel != self.multilabel_:
            fail("members", "of the task seen in fit", checked[0].task)
        if len(checked) != self.n_members_:
            wanted = f"the {self.n_members_} seen in fit"
            fail("members", wanted, f"{len(checked)}", f"they are: {', '.join(self.names_)}")
        if list(checked.names) != self.names_ and not _places(checked.names, self.names_):
            rule = "those seen in fit, in the same order"
            got = ", ".join(checked.names)
            fail("members", rule, got, f"they are: {', '.join(self.names_)}")
        if checked.n_classes != self.n_classes_:
            wanted = f"arrays of {self.n_classes_} classes as in fit"
            fail("members", wanted, f"{checked.n_classes} classes")
        if checked.classes is not None and self.class_names_ is not None:
            _check_classes(checked.classes, self.class_names_)
        for name, kind, fitted in zip(checked.names, checked.kinds, self.kinds_, strict=True):
            if kind != fitted and checked.n_rows:  # no row is of any kind
                mend = f'declare kind="{fitted}" (--{fitted}) if they are'
                fail(name, f"{fitted} as in fit", kind, mend)
        return checked

    @property
    def part_weights_(self) -> dict[str, float]:
        """Weights of the parts that learn from all members, by name, where a method has some."""
        return {}

    def _check_multilabel(self) -> None:
        """Refuse multi-label members, where a method does not hold for them."""

    def _fit(self, members: Members, y: NDArray[np.int64] | None) -> None:
        raise NotImplementedError


class Ensemble(MemberEstimator):
    """Base of all ensembles, which combine row by row. A subclass has `_fit` and `_combine`."""

    @takes_frames("members", returns="scores")
    def predict_proba(self, members: Iterable[Any], *, kinds: Kinds = None) -> Array:
        """Combine the members' scores on other rows.

        Parameters
        ----------
        members, kinds
            As for `fit`: the same members, in the same order and of the same kinds.

        Returns
        -------
        array or tensor of shape (n, C)
            Probabilities whose rows sum to 1: float32 if all members are floats of 32 bits or
            fewer, else float64. Each row depends only on that row of the members.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError
            If the members are not valid, or not those seen in `fit`.
        """
        return combine_all(self, self.check_members(members, kinds=kinds))

    def combine(self, members: Members, rows: slice) -> Array:
        """Combine a block of rows of checked members, (k, C), to write an output block by block."""
        if self.log_zeros_ is not None:
            members = members.raised(self.log_zeros_)
        if not members.multilabel:
            return self._combine(members, rows)
        m = members.n_classes
        both = self._combine(members.two_class(), slice(rows.start * m, rows.stop * m))
        return label_scores(both, m)

    def seen(self, members: Members) -> Combiner:
        """What combines blocks of these members: itself, unless all rows must be seen first."""
        return self

    def _combine(self, members: Members, rows: slice) -> Array:
        raise NotImplementedError


def combine_all(model: Ensemble, members: Members, sizes: Sizes = DEFAULT_SIZES) -> Array:
    """Combine all rows of checked members block by block, (n, C) or one column like the first."""
    first = members[0].scores
    xp, device = api.array_namespace(first), api.device(first)
    dtype = xp.float32 if members.narrow else xp.float64
    shape = (members.n_rows, members.n_classes)
    combiner = model.seen(members)
    out = xp.empty(shape, dtype=dtype, device=device)
    for rows in row_blocks(*shape, block_bytes=sizes.member):
        out[rows, :] = xp.asarray(combiner.combine(members, rows), dtype=dtype, device=device)
    return members[0].as_given(out)


def as_labels(y: Any, members: Members) -> NDArray[np.int64]:
    """Labels as integers 0..C-1, one for each row of the members, shape (n,).

    Those of multi-label members, (n, m), are zeros and ones, one for each of n·m rows.
    """
    if members.multilabel:
        return check_label_matrix(y, members[0], name="y").reshape(-1).astype(np.int64)
    return check_labels(as_numpy(y), n_classes=members.n_classes, n_rows=members.n_rows, name="y")


def solo_accuracy(members: Members, y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Accuracy of each member alone, shape (M,)."""
    right = np.zeros(len(members))
    for rows in row_blocks(len(y), members.n_classes, block_bytes=DEFAULT_SIZES.member):
        for m, member in enumerate(members):
            right[m] += np.count_nonzero(as_numpy(member.winners(rows)) == y[rows])
    return np.asarray(right / max(1, len(y)))


def _lacks(member: Predictions, y: NDArray[np.int64]) -> bool:
    """Whether the zeros of a member are classes that rows lack, such as choices of questions."""
    blocks = ((as_numpy(member.log_probabilities(rows)), y[rows]) for rows in member.blocks())
    return all(are_absent(member.kind, logs[np.arange(len(own)), own]) for logs, own in blocks)


def _places(names: Sequence[str], fitted: Sequence[str]) -> bool:
    """Whether names agree wherever neither is a position, like `members[0]`."""
    return all(
        a == b or a == f"members[{m}]" or b == f"members[{m}]"
        for m, (a, b) in enumerate(zip(names, fitted, strict=True))
    )


def _check_classes(classes: Sequence[str], fitted: Sequence[str]) -> None:
    unlike = [c for c, (a, b) in enumerate(zip(classes, fitted, strict=True)) if a != b]
    if unlike:
        c = unlike[0]
        rule = f"{fitted[c]!r} in column {c} as in fit"
        mend = "match them with `align_members(..., classes=fitted.classes_)`"
        fail("classes", rule, repr(classes[c]), mend)
