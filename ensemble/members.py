"""Members: the predictions that are combined, with columns and rows matched by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import array_api_compat as api
import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import Array, as_array, as_floating, as_numpy
from postproc.scores.checks import check_choice, fail, fail_type
from postproc.scores.kinds import (
    LEAST_PROBABILITY,
    Kind,
    check_scores,
    log_probabilities,
    probabilities,
)
from postproc.scores.names import matching_order
from postproc.scores.predictions import Predictions

MissingClass = Literal["error", "zero"]
Positions = NDArray[np.int64]

#: What messages say of names that must match.
RULE = "those of the other members, in any order"


@dataclass(frozen=True)
class Member:
    """Checked scores of one member, and where its rows and columns go.

    Attributes
    ----------
    scores : array or tensor of shape (n, C_m)
        The scores as given; a memory map stays one.
    kind : {"logits", "probs"}
        What they are.
    name : str
        What messages and tables call the member.
    rows : array of shape (n,), optional
        Position in `scores` of each row; None where the order is right.
    columns : array of shape (C,), optional
        Position in `scores` of each class, -1 for a class that the member does not know; None
        where all columns are in place.
    """

    scores: Array
    kind: Kind
    name: str
    rows: Positions | None = None
    columns: Positions | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return int(self.scores.shape[0] if self.rows is None else len(self.rows))

    @property
    def n_classes(self) -> int:
        """Number of classes C, with those that the member does not know."""
        return int(self.scores.shape[1] if self.columns is None else len(self.columns))

    def probabilities(self, rows: slice) -> Array:
        """Probabilities of a block of rows; zero for classes that the member does not know."""
        return self._spread(probabilities(self._block(rows), self.kind), 0.0)

    def log_probabilities(self, rows: slice) -> Array:
        """Log-probabilities of a block of rows; finite, zeros count as 1.2e-38."""
        return self._spread(
            log_probabilities(self._block(rows), self.kind), float(np.log(LEAST_PROBABILITY))
        )

    def winners(self, rows: slice) -> Array:
        """The class of the highest score in each row; of equal scores the lowest class."""
        block = self._spread(as_floating(self._block(rows)), -np.inf)
        return api.array_namespace(block).argmax(block, axis=1)

    def _block(self, rows: slice) -> Array:
        if self.rows is None:
            return self.scores[rows, :]
        return self.scores[_index(self.rows[rows], self.scores), :]

    def _spread(self, block: Array, unknown: float) -> Array:
        """Put columns where they belong, and `unknown` where there is none."""
        if self.columns is None:
            return block
        xp = api.array_namespace(block)
        columns = xp.take(block, _index(np.maximum(self.columns, 0), block), axis=1)
        known = _index(self.columns >= 0, block)
        return xp.where(known, columns, xp.full_like(columns, unknown))


@dataclass(frozen=True)
class Members(Sequence[Member]):
    """Members whose rows and columns correspond, ready to be combined block by block.

    Attributes
    ----------
    items : tuple of Member
        The members.
    classes : tuple of C str, optional
        Class names, in the order of the output's columns.
    ids : array of str, shape (n,), optional
        Row names, in the order of the output's rows.
    missing : dict of str to tuple of str
        For each member that lacks classes, which ones; they have probability zero there.
    """

    items: tuple[Member, ...]
    classes: tuple[str, ...] | None
    ids: NDArray[np.str_] | None
    missing: dict[str, tuple[str, ...]]

    @overload
    def __getitem__(self, index: int) -> Member: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Member]: ...
    def __getitem__(self, index: int | slice) -> Member | Sequence[Member]:
        """Return one member or several."""
        return self.items[index]

    def __len__(self) -> int:
        """Return the number of members M."""
        return len(self.items)

    def __iter__(self) -> Iterator[Member]:
        """Go through the members."""
        return iter(self.items)

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return self.items[0].n_rows

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return self.items[0].n_classes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members."""
        return tuple(member.name for member in self.items)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of the members' scores."""
        return tuple(member.kind for member in self.items)

    @property
    def narrow(self) -> bool:
        """Whether all scores are floats of 32 bits or fewer, and the output is float32."""
        return all(_is_narrow(member.scores) for member in self.items)

    def log_tensor(self, rows: slice) -> NDArray[np.float64]:
        """Log-probabilities of all members in a block of k rows, shape (M, k, C), in float64."""
        return np.stack(
            [as_numpy(member.log_probabilities(rows)).astype(np.float64) for member in self.items]
        )


def check_members(
    members: Iterable[Any],
    *,
    kinds: Sequence[Kind | None] | Kind | None = None,
    names: Sequence[str] | None = None,
) -> Members:
    """Validate arrays whose rows and columns correspond by their place.

    Parameters
    ----------
    members : sequence of M arrays or tensors of shape (n, C), or Members
        Scores of each member. What is `Members` already is passed through.
    kinds : {"logits", "probs"} or sequence of them, optional
        The kind of all members or of each; None (also inside the sequence) detects it, once for
        the whole member.
    names : sequence of M str, optional
        What messages call the members; "members[0]" and so on by default.

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
            fail("kinds", "left away where members have been checked already", "kinds or names")
        return members
    arrays = _as_arrays(members)
    labels = [f"members[{m}]" for m in range(len(arrays))] if names is None else list(names)
    if len(labels) != len(arrays):
        fail("names", f"one a member ({len(arrays)})", f"{len(labels)} names")
    declared = _check_kinds(kinds, len(arrays))
    checked = []
    for array, name, kind in zip(arrays, labels, declared, strict=True):
        _check_shape(array, arrays[0], name, labels[0])
        scores, found = check_scores(array, kind=kind, name=name)
        checked.append(Member(scores, found, name))
    return Members(tuple(checked), None, None, {})


def align_members(
    predictions: Sequence[Predictions],
    *,
    missing_class: MissingClass = "error",
    classes: Sequence[str] | None = None,
) -> Members:
    """Match the columns of several predictions by class name and their rows by id.

    Where all have class names, columns are matched by them; where all have ids, rows are. What
    has no names is taken to be in the order of the first that has, and must agree in shape.

    Parameters
    ----------
    predictions : sequence of M Predictions
        Checked scores with their names.
    missing_class : {"error", "zero"}
        Whether a member may lack classes that others have. With "zero" it gives them probability
        zero, and the result says which they are.
    classes : sequence of C str, optional
        Class names in the order that is wanted, as of a fitted ensemble; by default the order of
        the first member, followed by what others add.

    Returns
    -------
    Members
        The members, with positions only where something has to move: a memory map that is in
        order stays untouched.

    Raises
    ------
    ValueError
        If there is no member, or sets of classes or ids differ (the first few are named), or
        unnamed columns or rows differ in number.

    Examples
    --------
    >>> a = Predictions.check([[0.9, 0.1]], classes=["cat", "dog"], name="a")
    >>> b = Predictions.check([[0.4, 0.6]], classes=["dog", "cat"], name="b")
    >>> align_members([a, b])[1].columns
    array([1, 0])
    """
    check_choice(missing_class, "missing_class", ("error", "zero"))
    predictions = tuple(predictions)
    if not predictions:
        fail("members", "one array or more", "none")
    wanted = _all_classes(predictions, classes, missing_class)
    ids = next((p.ids for p in predictions if p.ids is not None), None)
    items, missing = [], {}
    for p in predictions:
        columns, unknown = _columns(p, wanted, predictions[0], missing_class)
        if unknown:
            missing[p.name] = unknown
        items.append(Member(p.scores, p.kind, p.name, _rows(p, ids, predictions), columns))
    return Members(tuple(items), wanted, ids, missing)


def check_weights(weights: Any, n_members: int) -> NDArray[np.float64]:
    """Return weights w >= 0 as M numbers with sum 1; None gives equal weights.

    Raises
    ------
    TypeError
        If they are not real numbers.
    ValueError
        If they are not one a member, one is negative or not finite, or all are zero.
    """
    if weights is None:
        return np.full(n_members, 1 / n_members)
    w = as_numpy(as_array(weights, "weights")).astype(np.float64)
    if w.shape != (n_members,):
        fail("weights", f"one number a member, shape ({n_members},)", f"shape {w.shape}")
    bad = ~(np.isfinite(w) & (w >= 0))
    if bad.any():
        at = int(np.argmax(bad))
        fail(f"weights[{at}]", "a finite number >= 0", f"{w[at]:g}")
    if w.max() == 0:
        fail("weights", "positive for one member or more", "zeros only")
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
        fail("kinds", f"one a member ({n_members}), or one for all", f"{len(listed)} kinds")
    return listed


def _check_shape(array: Array, first: Array, name: str, first_name: str) -> None:
    shape, wanted = tuple(array.shape), tuple(first.shape)
    if len(shape) != 2 or len(wanted) != 2 or shape == wanted:
        return  # other numbers of dimensions are the business of check_scores
    what = "classes" if shape[0] == wanted[0] else "rows"
    fail(
        name,
        f"of shape {wanted} like {first_name}",
        f"shape {shape}",
        f"members must have the same {what}; match those with names by `align_members`",
    )


def _all_classes(
    predictions: Sequence[Predictions],
    classes: Sequence[str] | None,
    missing_class: MissingClass,
) -> tuple[str, ...] | None:
    if classes is not None:
        return tuple(classes)
    named = [p.classes for p in predictions if p.classes is not None]
    if not named:
        return None
    if missing_class == "error":
        return named[0]
    return tuple(dict.fromkeys(name for names in named for name in names))


def _columns(
    p: Predictions,
    wanted: tuple[str, ...] | None,
    first: Predictions,
    missing_class: MissingClass,
) -> tuple[Positions | None, tuple[str, ...]]:
    """Where the classes stand in the columns of one member, and which it does not know."""
    n_classes = first.n_classes if wanted is None else len(wanted)
    if p.classes is None or wanted is None:
        if p.n_classes != n_classes:
            fail(
                p.name,
                f"an array of {n_classes} classes like the other members",
                f"{p.n_classes} classes without names",
                "give class names (--classes), so that columns can be matched",
            )
        return None, ()
    known = set(p.classes)
    unknown = tuple(name for name in wanted if name not in known)
    if not unknown or missing_class == "error" or known.difference(wanted):
        mend = 'missing_class="zero" (--missing-class zero) gives them probability zero'
        return matching_order(p.classes, wanted, f"classes of {p.name}", rule=RULE, mend=mend), ()
    position = {name: at for at, name in enumerate(p.classes)}
    return np.array([position.get(name, -1) for name in wanted], dtype=np.int64), unknown


def _rows(
    p: Predictions, ids: NDArray[np.str_] | None, predictions: Sequence[Predictions]
) -> Positions | None:
    """Where the rows stand in one member; None where they are in order."""
    if p.ids is not None and ids is not None:
        mend = "keep the rows that all members have"
        return matching_order(p.ids, ids, f"ids of {p.name}", rule=RULE, mend=mend)
    n_rows = predictions[0].n_rows if ids is None else len(ids)
    if p.n_rows != n_rows:
        fail(p.name, f"an array of {n_rows} rows like the other members", f"{p.n_rows} rows")
    return None


def _index(positions: NDArray[Any], like: Array) -> Array:
    """Positions or a mask as an array of the library and on the device of `like`."""
    return api.array_namespace(like).asarray(positions, device=api.device(like))


def _is_narrow(array: Array) -> bool:
    xp = api.array_namespace(array)
    return bool(xp.isdtype(array.dtype, "real floating") and xp.finfo(array.dtype).bits <= 32)
