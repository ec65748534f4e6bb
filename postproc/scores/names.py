"""Classes and rows are matched by name, not by position, where they have names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.checks import fail

Names = Sequence[str] | NDArray[np.str_]
Positions = NDArray[np.int64]

#: What a row is called that is given no class; its number is -1.
ABSTAIN = "abstain"

#: A name that ends in a number, as `class_10` and `X3` do.
NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL | re.ASCII)

#: What to do about ids that are all others.
FOLDS = "write ids alike; if these are files of folds, postproc pool puts them together"

#: What to do about ids that some lack.
COMMON = "common_rows=True (--common-rows) keeps only the rows that all have"


def positions(have: Names, want: Names) -> Positions:
    """Position in `have` of each name in `want`; -1 for a name that is not there."""
    at = {name: i for i, name in enumerate(np.asarray(have).tolist())}
    return np.array([at.get(name, -1) for name in np.asarray(want).tolist()], dtype=np.int64)


def matching_order(
    have: Names,
    want: Names,
    name: str,
    *,
    like: str = "the other models",
    mend: str = "",
    others: str = "",
    may_lack: bool = False,
) -> Positions | None:
    """Positions that take `have` to the order of `want`, shape (n,); None if it is in order.

    Errors call `have` by `name` and `want` by `like`, and list the first few names that differ,
    with `mend` for names too few or too many, `others` where all are others. With `may_lack`, names
    that `have` lacks get the position -1.
    """
    if have is want:
        return None
    names, wanted = np.asarray(have).tolist(), np.asarray(want).tolist()
    check_unique(names, name)
    if names == wanted:
        return None
    order, rule = positions(names, wanted), f"those of {like}, in any order"
    missing = [wanted[at] for at in np.flatnonzero(order < 0)]
    known = set(wanted)
    extra = [value for value in names if value not in known]
    if missing and extra:
        share_some = bool((order >= 0).any())
        mend = mend if others and share_some else others
        fail(name, rule, f"{some(extra)} instead of {some(missing)}", mend)
    if extra:
        fail(name, rule, f"{_counted(extra)} in addition", mend)
    if missing and not may_lack:
        fail(name, rule, f"all but {_counted(missing)}", mend)
    return order


def _counted(names: Sequence[Any]) -> str:
    """The first few names in quotes and, if there are more, how many there are."""
    listed = some(names)
    return listed if len(names) <= 3 else f"{listed} ({len(names):,} in all)"


def check_unique(names: Sequence[str], name: str, mend: str = "") -> None:
    """Check that no name occurs twice; the error calls them by `name`."""
    if len(set(names)) != len(names):
        twice = next(value for value, count in Counter(names).items() if count > 1)
        fail(name, "unique", f"{twice!r} more than once", mend)


def check_text(names: Sequence[str], name: str = "names") -> None:
    """Check that no name holds the character that arrays of NumPy drop at the end of text."""
    bad = next((name for name in names if "\0" in name), None)
    if bad is not None:
        fail(name, "text without NUL characters", repr(bad[:40]))


def numbers_of(names: Sequence[str]) -> list[str] | None:
    """The different numbers that names with one beginning end in, as `x2`; None of other names."""
    parts = [match.groups() for name in names if (match := NUMBERED.fullmatch(name))]
    numbers = [str(int(number)) for _, number in parts]
    is_alike = len(parts) == len(names) and len({start for start, _ in parts}) == 1
    return numbers if is_alike and len(set(numbers)) == len(names) else None


def order_by_number(names: Sequence[str]) -> list[int] | None:
    """Positions that put names of the numbers 0..C-1 in order; None of others, or if in order."""
    numbers = numbers_of(names) or []
    wanted = list(map(str, range(len(names))))
    if numbers == wanted or set(numbers) != set(wanted):
        return None
    return [numbers.index(number) for number in wanted]


def first_few(names: Sequence[Any], most: int = 3) -> str:
    """The first few names as they are, for messages."""
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


def some(names: Sequence[Any], most: int = 3) -> str:
    """The first few names in quotes, for messages."""
    return first_few([repr(name) for name in names[: most + 1]], most)
