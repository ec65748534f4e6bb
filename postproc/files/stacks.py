"""Three-dimensional arrays: members, or both classes of each of several labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from postproc.files.contents import Contents
from postproc.scores.binary_labels import POSITIVE
from postproc.scores.checks import fail
from postproc.scores.rounding import SUM_TOLERANCE


def check_stack(contents: Contents, name: str, *, multilabel: bool) -> Contents:
    """Refuse an array (m, n, C) of more members than rows; with `multilabel` join pairs.

    Where rows stand first, members would be averaged across rows. Arrays (n, 2) of m labels, which
    scikit-learn gives, become one of shape (n, m).
    """
    shape = contents.values.shape
    if shape[0] > shape[1]:
        mend = "put rows second, with numpy.moveaxis"
        if 1 in shape[1:]:
            mend = f"save scores.squeeze(axis={shape.index(1, 1)})"
        rule = "a stack (members, rows, classes) of no more members than rows"
        fail(name, rule, f"shape {shape}", f"{mend}, or give members as files of their own")
    if not multilabel or shape[2] != 2:
        return contents
    values = np.asarray(contents.values)
    if (abs(values.sum(axis=2) - 1) > SUM_TOLERANCE).any():
        return contents
    note = f"each of its {len(values)} arrays (n, 2) holds a label's two classes, which sum to 1"
    return replace(contents, values=values[:, :, POSITIVE].T, notes=(*contents.notes, note))
