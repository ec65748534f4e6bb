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
    """Predictions with the classes of others, their columns in the same order.

    That only one of the two has class names is a warning, unless `quiet`.

    Raises
    ------
    ValueError
        If they have other classes, or another number of them.
    """
    from dataclasses import replace

    from cli.messages import warn
    from postproc.scores.checks import fail
    from postproc.scores.names import matching_order
    from postproc.scores.sources import Source

    if loaded.n_classes != like.n_classes:
        wanted = f"an array of {like.n_classes} classes like {like.name}"
        fail(loaded.name, wanted, f"{loaded.n_classes} columns")
    if (loaded.classes is None) != (like.classes is None):
        own = replace(loaded, ids=None)  # rows of the two do not belong together
        warn(taken_by_place([own], [like]), quiet=quiet)
    if like.classes is None:
        return loaded
    scores = loaded.scores
    if loaded.classes is not None:
        rule = f"those of {like.name}, in any order"
        order = matching_order(
            loaded.classes, like.classes, f"class names of {loaded.name}", rule=rule
        )
        if order is not None:
            scores = scores.columns(order) if isinstance(scores, Source) else scores[:, order]
    return replace(loaded, scores=scores, classes=like.classes)


def in_class_order(y: Any, members: Sequence[Predictions], classes: Sequence[str] | None) -> Any:
    """Labels that were read as columns of the members, as columns of `classes`; None for none.

    Parameters
    ----------
    y : array of shape (n,) or None
        Labels in the order of the first of the members that has class names.
    members : sequence of Predictions
        The predictions that they belong to.
    classes : sequence of C str, optional
        The order that is wanted, with all those names; None where columns have none.
    """
    import numpy as np

    own = next((member.classes for member in members if member.classes is not None), None)
    if y is None or own is None or classes is None or own == tuple(classes):
        return y
    position = {name: at for at, name in enumerate(classes)}
    return np.asarray([position[name] for name in own])[y.astype(np.intp, copy=False)]


def in_row_order(y: Any, members: Sequence[Predictions], ids: NDArray[np.str_] | None) -> Any:
    """Labels that were read as rows of the members, as rows of `ids`; None for none.

    Parameters
    ----------
    y : array of shape (n,) or None
        Labels in the order of the first of the members that has ids.
    members : sequence of Predictions
        The predictions that they belong to.
    ids : array of str, shape (n,), optional
        The order that is wanted, with all those ids; None where rows have none.
    """
    from postproc.scores.names import matching_order

    own = next((member.ids for member in members if member.ids is not None), None)
    if y is None or own is None or ids is None or own is ids:
        return y
    order = matching_order(own, ids, "ids of the labels")
    return y if order is None else y[order]
