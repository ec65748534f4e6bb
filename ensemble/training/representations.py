"""Diagnostics of representations: how evenly they spread, and how close classes stay together."""

from __future__ import annotations

from math import fsum, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.scores.arrays import as_array, as_numpy
from postproc.scores.blocks import row_blocks
from postproc.scores.checks import fail


def uniformity(h: Any) -> float:
    r"""Uniformity of representations: how evenly their directions spread over the sphere.

    .. math:: \log \, \mathrm{mean}_{i \ne j} \, e^{-2 \|f_i - f_j\|^2}, \quad f = h / \|h\|

    Parameters
    ----------
    h : array-like of shape (n, d)
        Representations; n >= 2.

    Returns
    -------
    float
        In [-8, 0]; the lower, the more even. 0 if all point the same way.

    Raises
    ------
    ValueError
        If there are fewer than two rows, or one of them is zero or not finite.

    References
    ----------
    Wang, Liu (2021). Understanding the Behaviour of Contrastive Loss. CVPR 2021.

    Examples
    --------
    >>> round(uniformity([[1.0, 0.0], [0.0, 2.0]]), 6)
    -4.0
    """
    f = _directions(h)
    n_rows = len(f)
    blocks = (np.exp(4 * (f[rows] @ f.T - 1)) for rows in row_blocks(n_rows, n_rows))
    total = fsum(float(block.sum()) for block in blocks) - n_rows  # without each row by itself
    return log(total / (n_rows * (n_rows - 1)))


def tolerance(h: Any, y: Any) -> float:
    r"""Tolerance of representations: mean cosine of pairs of rows of the same class.

    .. math:: \mathrm{mean}_{i \ne j, \, y_i = y_j} \; f_i \cdot f_j, \quad f = h / \|h\|

    Parameters
    ----------
    h : array-like of shape (n, d)
        Representations; n >= 2.
    y : array-like of shape (n,)
        Classes: integers or names.

    Returns
    -------
    float
        In [-1, 1]; the higher, the closer the rows of a class are.

    Raises
    ------
    ValueError
        If no two rows have the same class, or a row is zero or not finite.

    References
    ----------
    Wang, Liu (2021). Understanding the Behaviour of Contrastive Loss. CVPR 2021.

    Examples
    --------
    >>> tolerance([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]], ["a", "b", "a"])
    1.0
    """
    f, labels = _directions(h), as_numpy(y)
    if labels.shape != (len(f),):
        fail("y", f"one class a row, shape ({len(f)},)", f"shape {labels.shape}")
    classes, counts = np.unique(labels, return_counts=True)
    n_pairs = int((counts * (counts - 1)).sum())
    if n_pairs == 0:
        fail("y", "classes of which one has two rows or more", f"{len(classes)} of one row each")
    # Of unit vectors, the products of all pairs sum up to the square of their sum, less one each.
    sums = (f[labels == name].sum(axis=0) for name in classes)
    return (fsum(float(s @ s) for s in sums) - len(f)) / n_pairs


def _directions(h: Any) -> NDArray[np.float64]:
    """Rows of length one, (n, d)."""
    array = np.asarray(as_numpy(as_array(h, "h")), dtype=np.float64)
    if array.ndim != 2 or len(array) < 2:
        fail("h", "representations of two rows or more, shape (n, d)", f"shape {array.shape}")
    lengths = np.linalg.norm(array, axis=1)
    bad = ~(np.isfinite(lengths) & (lengths > 0))
    if bad.any():
        row = int(np.argmax(bad))
        fail(f"h[{row}]", "finite and not zero", f"a row of length {lengths[row]:g}")
    directions: NDArray[np.float64] = array / lengths[:, None]
    return directions
