"""Columns and rows that are data: matched by their names, never by their place alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from postproc.scores.checks import fail


def matching_order(
    have: Sequence[str] | NDArray[np.str_],
    want: Sequence[str] | NDArray[np.str_],
    name: str,
    *,
    rule: str = "those of the other models, in any order",
    mend: str = "",
) -> NDArray[np.int64] | None:
    """Find the positions in `have` of the names in `want`.

    Parameters
    ----------
    have, want : sequence or array of n str
        The same names, each once, in any two orders.
    name : str
        What messages call `have`.
    rule, mend : str
        What messages say that the names must be, and what helps where one side lacks some.

    Returns
    -------
    ndarray of shape (n,), int64, or None
        Positions such that taking them from `have` gives `want`; None if the orders are alike.

    Raises
    ------
    ValueError
        If the two do not hold the same names, or `have` holds one twice.

    Examples
    --------
    >>> matching_order(["b", "a"], ["a", "b"], "classes")
    array([1, 0])
    """
    names, wanted = np.asarray(have).tolist(), np.asarray(want).tolist()
    position = {value: at for at, value in enumerate(names)}
    missing = [value for value in wanted if value not in position]
    known = set(wanted)
    extra = [value for value in names if value not in known]
    if missing and extra:
        fail(name, rule, f"{some(extra)} in place of {some(missing)}")
    if missing:
        fail(name, rule, f"all but {some(missing)}", mend)
    if extra:
        fail(name, rule, f"{some(extra)} besides", mend)
    if len(position) != len(names):
        twice = next(value for at, value in enumerate(names) if position[value] != at)
        fail(name, "different from each other", f"{twice!r} twice or more")
    if names == wanted:
        return None
    return np.array([position[value] for value in wanted], dtype=np.int64)


def some(names: Sequence[str]) -> str:
    """The first few names, for messages."""
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
