"""Columns and labels by the names of classes and rows: files of a task have them in any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from postproc.scores.predictions import Predictions


def taken_by_place(loaded: Sequence[Predictions], like: Sequence[Predictions] = ()) -> list[str]:
    """Say whose columns and rows go by their place, since only others have names.

    Parameters
    ----------
    loaded : sequence of Predictions
        Predictions whose columns, and whose rows, belong together.
    like : sequence of Predictions
        Those, of other rows, whose columns are in the order that is wanted.

    Returns
    -------
    list of str
        Sentences, none where all have names or none has.
    """
    named = [model.name for model in (*like, *loaded) if model.classes is not None]
    lack = [model.name for model in loaded if model.classes is None]
    if like and all(model.classes is None for model in like):
        lack += [model.name for model in like]
    said = _by_place(lack, named, "class names", "columns")
    named = [model.name for model in loaded if model.ids is not None]
    lack = [model.name for model in loaded if model.ids is None]
    return said + _by_place(lack, named, "row ids", "rows")


def _by_place(lack: Sequence[str], named: Sequence[str], names: str, what: str) -> list[str]:
    if not lack or not named:
        return []
    one, few = len(lack) == 1, ", ".join(lack[:3]) + (", ..." if len(lack) > 3 else "")
    has, its = ("has", "its") if one else ("have", "their")
    return [f"{few} {has} no {names}: {its} {what} are taken in the order of {named[0]}"]


def in_order_of(loaded: Predictions, like: Predictions, *, quiet: bool = False) -> Predictions:
    """Align the columns of predictions with those of others; warn if only one has class names."""
    from dataclasses import replace

    from cli.messages import warn
    from postproc.scores.checks import fail

    if loaded.n_classes != like.n_classes:
        wanted = f"an array of {like.n_classes} classes like {like.name}"
        fail(loaded.name, wanted, f"{loaded.n_classes} columns")
    if (loaded.classes is None) != (like.classes is None):
        own = replace(loaded, ids=None)  # rows of the two do not belong together
        warn(taken_by_place([own], [like]), quiet=quiet)
    return loaded.align(classes=like.classes, like=like.name)


def in_class_order(y: Any, members: Sequence[Predictions], classes: Sequence[str] | None) -> Any:
    """Labels y, shape (n,), that index the class names of the members, as indices of `classes`."""
    import numpy as np

    from postproc.scores.names import positions

    own = next((member.classes for member in members if member.classes is not None), None)
    if y is None or own is None or classes is None or own == tuple(classes):
        return y
    return positions(classes, own)[y.astype(np.intp, copy=False)]


def in_row_order(y: Any, members: Sequence[Predictions], ids: NDArray[np.str_] | None) -> Any:
    """Labels y, shape (n,), in the order of the ids of the members, in the order of `ids`."""
    from postproc.scores.names import matching_order

    own = next((member.ids for member in members if member.ids is not None), None)
    order = None if y is None or own is None or ids is None else matching_order(own, ids, "ids")
    return y if order is None else y[order]
