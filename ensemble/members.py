"""Members of an ensemble: predictions whose columns and rows correspond."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.scores import row_subsets
from postproc.scores.arrays import Array, as_array, as_numpy
from postproc.scores.blocks import DEFAULT_SIZES, row_blocks
from postproc.scores.checks import fail, fail_type
from postproc.scores.frames.arguments import takes_frames
from postproc.scores.kinds import Kind
from postproc.scores.multilabel import two_class
from postproc.scores.names import some
from postproc.scores.predictions import MissingClass, Predictions
from postproc.scores.zeros import Zeros, find_zeros


@dataclass(frozen=True)
class Members(Sequence[Predictions]):
    """Predictions of several models for the same rows and classes, in the same order.

    Attributes
    ----------
    items : tuple of Predictions
        The members.

    Raises
    ------
    ValueError
        If there is no member, or shapes, class names or ids differ.
    """

    items: tuple[Predictions, ...]

    def __post_init__(self) -> None:
        """Check that members correspond."""
        if not self.items:
            fail("members", "one array or more", "none")
        first, *others = self.items
        for p in others:
            shape, wanted = (p.n_rows, p.n_classes), (first.n_rows, first.n_classes)
            what = "rows" if shape[0] != wanted[0] else "classes"
            mend = f"members must have the same {what}"
            if what == "classes":
                mend += "; match those with names by `align_members`"
            if shape != wanted:
                fail(p.name, f"of shape {wanted} like {first.name}", f"shape {shape}", mend)
            if p.multilabel != first.multilabel:
                fail(p.name, f"a {first.task} task like {first.name}", p.task)
            same = {"classes": p.classes == first.classes, "ids": _is_same(p.ids, first.ids)}
            for what, is_same in same.items():
                if not is_same:
                    mend = "match them by `align_members`"
                    fail(f"{what} of {p.name}", f"those of {first.name}", "others", mend)

    @overload
    def __getitem__(self, index: int) -> Predictions: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Predictions]: ...
    def __getitem__(self, index: int | slice) -> Predictions | Sequence[Predictions]:
        """Return one member or several."""
        return self.items[index]

    def __len__(self) -> int:
        """Return the number of members M."""
        return len(self.items)

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return self.items[0].n_rows

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return self.items[0].n_classes

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names, shape (C,), where known."""
        return self.items[0].classes

    @property
    def ids(self) -> NDArray[np.str_] | None:
        """Row names, shape (n,), where known."""
        return self.items[0].ids

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members."""
        return tuple(member.name for member in self.items)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of the members' scores."""
        return tuple(member.kind for member in self.items)

    @property
    def multilabel(self) -> bool:
        """Whether every column is a label of its own."""
        return self.items[0].multilabel

    def two_class(self) -> Members:
        """Multi-label members of m labels as n·m rows of two classes."""
        return Members(tuple(two_class(member) for member in self.items))

    def raised(self, log_zeros: Sequence[float]) -> Members:
        """The same members, in which exact zeros count as other logarithms, (M,)."""
        each = zip(self.items, log_zeros, strict=True)
        return Members(tuple(replace(member, log_zero=zero) for member, zero in each))

    def zeros(self) -> list[Zeros]:
        """The exact zeros of each member; none where they count as something already."""
        return [self._zeros_of(member) for member in self.items]

    def _zeros_of(self, member: Predictions) -> Zeros:
        cuts = list(row_blocks(self.n_rows, self.n_classes, block_bytes=DEFAULT_SIZES.member))
        zero = -math.inf if member.kind == "logits" else 0.0
        if not any(bool((member.scores[rows, :] == zero).any()) for rows in cuts):
            return Zeros()
        return find_zeros(member.log_probabilities(rows) for rows in cuts)

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """Classes that members lack, by name of the member; they have probability zero there."""
        return {member.name: member.unknown for member in self.items if member.unknown}

    @property
    def narrow(self) -> bool:
        """Whether all scores are floats of 32 bits or fewer, so that the output is float32."""
        return all(member.output_dtype == np.float32 for member in self.items)

    def log_tensor(self, rows: slice) -> NDArray[np.float64]:
        """Log-probabilities of all members in a block of k rows, shape (M, k, C), in float64."""
        return np.stack(
            [as_numpy(member.log_probabilities(rows)).astype(np.float64) for member in self.items]
        )


@takes_frames("members")
def check_members(
    members: Iterable[Any],
    *,
    kinds: Sequence[Kind | None] | Kind | None = None,
    names: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    ids: Sequence[str] | NDArray[np.str_] | None = None,
    multilabel: bool = False,
) -> Members:
    """Validate arrays whose rows and columns correspond by position.

    Parameters
    ----------
    members : sequence of M arrays or tensors of shape (n, C), or Members
        Scores of each member; `Members` are returned as they are.
    kinds : {"logits", "probs"} or sequence of them, optional
        The kind of all members or of each; None (also inside the sequence) detects it, once for
        the whole member.
    names : sequence of M str, optional
        Names of the members; by default "members[0]" and so on.
    classes : sequence of C str, optional
        Class names; those of the columns of tables by default.
    ids : sequence of n str, optional
        Row names; those of tables by default.
    multilabel : bool
        Whether every column is a label of its own.

    Returns
    -------
    Members
        The members.

    Raises
    ------
    TypeError
        If `members` is not a sequence of arrays of real numbers, or NumPy is mixed with torch.
    ValueError
        If there is no member, shapes differ, a score is not finite, or a kind is ambiguous or
        contradicted.

    Examples
    --------
    >>> check_members([[[0.1, 0.9]], [[-2.0, 3.0]]]).kinds
    ('probs', 'logits')
    """
    if isinstance(members, Members):
        if kinds is not None or names is not None:
            fail("kinds", "omitted for members that are checked already", "kinds or names")
        if classes is not None and members.classes != tuple(classes):
            fail("classes", "those of the members", some(list(classes)))
        return members
    arrays = _as_arrays(members)
    labels = [f"members[{m}]" for m in range(len(arrays))] if names is None else list(names)
    if len(labels) != len(arrays):
        fail("names", f"one per member ({len(arrays)})", f"{len(labels)} names")
    declared = _check_kinds(kinds, len(arrays))
    each = zip(arrays, labels, declared, strict=True)
    return Members(
        tuple(
            Predictions.check(
                array, kind=kind, classes=classes, ids=ids, name=name, multilabel=multilabel
            )
            for array, name, kind in each
        )
    )


def align_members(
    predictions: Sequence[Any],
    *,
    missing_class: MissingClass = "error",
    common_rows: bool = False,
    classes: Sequence[str] | None = None,
) -> Members:
    """Match the columns of several predictions by class name and their rows by id.

    Predictions without class names or ids are taken to be in the order of the first that has
    them, and must have the same shape.

    Parameters
    ----------
    predictions : sequence of M Predictions or tables
        Scores with their names.
    missing_class : {"error", "zero"}
        Whether a member may lack classes that others have. With "zero" it gives them probability
        zero, and `missing` of the result lists them.
    common_rows : bool
        Whether to keep only the rows that all have, matched by id, in the order of the first.
    classes : sequence of C str, optional
        Class names in the order wanted, such as that of a fitted ensemble; by default the order
        of the first member, followed by the classes that others add.

    Returns
    -------
    Members
        The members; what is out of order is reordered as it is read, the rest stays as it is.

    Raises
    ------
    ValueError
        If there is no member, or sets of classes or ids differ (the first few are named), or
        unnamed columns or rows differ in number; with `common_rows`, if some have no ids or none
        is shared.

    Examples
    --------
    >>> a = Predictions.check([[0.75, 0.25]], classes=["cat", "dog"], name="a")
    >>> b = Predictions.check([[0.5, 0.5]], classes=["dog", "cat"], name="b")
    >>> align_members([a, b])[1].classes
    ('cat', 'dog')
    """
    predictions = tuple(
        p if isinstance(p, Predictions) else Predictions.check(p, name=f"members[{m}]")
        for m, p in enumerate(predictions)
    )
    if common_rows and predictions:
        predictions = tuple(row_subsets.common_rows(predictions))
    named = [p.classes for p in predictions if p.classes is not None]
    if classes is None and named:
        known = dict.fromkeys(name for names in named for name in names)
        classes = named[0] if missing_class == "error" else tuple(known)
    ids = next((p.ids for p in predictions if p.ids is not None), None)
    aligned = (
        p.align(classes=classes, ids=ids, missing_class=missing_class, like="the other members")
        for p in predictions
    )
    return Members(tuple(aligned))


def check_weights(weights: Any, n_members: int) -> NDArray[np.float64]:
    """Return M weights w >= 0 that sum to 1; None gives equal weights."""
    if weights is None:
        return np.full(n_members, 1 / n_members)
    w = as_numpy(as_array(weights, "weights")).astype(np.float64)
    if w.shape != (n_members,):
        fail("weights", f"one number per member, shape ({n_members},)", f"shape {w.shape}")
    bad = ~(np.isfinite(w) & (w >= 0))
    if bad.any():
        at = int(np.argmax(bad))
        fail(f"weights[{at}]", "a finite number >= 0", f"{w[at]:g}")
    if w.max() == 0:
        fail("weights", "positive for at least one member", "only zeros")
    w = w / w.max()  # the sum of huge weights would overflow
    return np.asarray(w / w.sum())


def _as_arrays(members: Iterable[Any]) -> list[Array]:
    if isinstance(members, str | bytes | dict) or not isinstance(members, Iterable):
        fail_type("members", "a sequence of (n, C) arrays", type(members).__name__)
    if getattr(members, "ndim", 3) != 3:
        shape = tuple(getattr(members, "shape", ()))
        fail("members", "a sequence of (n, C) arrays", f"one array of shape {shape}")
    arrays = [as_array(member, f"members[{m}]") for m, member in enumerate(members)]
    if not arrays:
        fail("members", "one array or more", "none")
    torch = [m for m, array in enumerate(arrays) if api.is_torch_array(array)]
    if torch and len(torch) != len(arrays):
        at = torch[0] or next(m for m in range(len(arrays)) if m not in torch)
        rule = "all NumPy arrays or all torch tensors"
        fail_type("members", rule, f"both (members[0] and members[{at}] differ)")
    return arrays


def _check_kinds(kinds: Any, n_members: int) -> list[Kind | None]:
    if kinds is None or isinstance(kinds, str):
        return [kinds] * n_members  # type: ignore[list-item]  # check_scores validates it
    listed = list(kinds)
    if len(listed) != n_members:
        fail("kinds", f"one per member ({n_members}), or one for all", f"{len(listed)} kinds")
    return listed


def _is_same(a: NDArray[np.str_] | None, b: NDArray[np.str_] | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))
