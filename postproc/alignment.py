"""Columns and rows that are data: matched by their names, never by their place alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from postproc.checks import fail


def matching_order(
    have: Sequence[str] | NDArray[np.str_], want: Sequence[str] | NDArray[np.str_], name: str
) -> NDArray[np.int64] | None:
    """Find the positions in `have` of the names in `want`.

    Parameters
    ----------
    have, want : sequence or array of n str
        The same names, each once, in any two orders.
    name : str
        What messages call `have`.

    Returns
    -------
    ndarray of shape (n,), int64, or None
        Positions such that taking them from `have` gives `want`; None if the orders are alike.

    Raises
    ------
    ValueError
        If the two do not hold the same names.

    Examples
    --------
    >>> matching_order(["b", "a"], ["a", "b"], "classes")
    array([1, 0])
    """
    if np.array_equal(have, want):
        return None
    names, wanted = np.asarray(have).tolist(), np.asarray(want).tolist()
    position = {value: at for at, value in enumerate(names)}
    missing = [value for value in wanted if value not in position]
    if missing:
        extra = sorted(set(names).difference(wanted))
        fail(
            name,
            "those of the other models, in any order",
            f"{_some(extra)} in place of {_some(missing)}",
        )
    return np.array([position[value] for value in wanted], dtype=np.int64)


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
