"""The operation of CAN: every row adjusted against a reference, all of them at once."""

from __future__ import annotations

import array_api_compat as api

from postproc.can.loop import check_arrays, check_parameters
from postproc.can.reference import Reference
from postproc.scores.arrays import Array
from postproc.scores.binary import like_given
from postproc.scores.frames.arguments import takes_frames


@takes_frames("rows", "reference", priors=("prior",), returns="scores")
def alternating_normalization(
    rows: Array,
    reference: Array,
    prior: Array,
    *,
    alpha: float = 1.0,
    iterations: int = 1,
    smoothing: float = 0.0,
    weights: Array | None = None,
    all_iterations: bool = False,
) -> Array:
    """Adjust every row against a reference by alternating normalization (the pure operation).

    Parameters
    ----------
    rows : array or tensor of shape (k, C)
        The rows b to adjust, probabilities. k = 0 is legal.
    reference : array or tensor of shape (n, C)
        The confident rows A. Without rows (n = 0) the C × C identity takes their place.
    prior : array_like of shape (C,)
        Class distribution q of the target; it is scaled to sum to 1. A class of prior zero gets no
        mass, and a row that would have no mass left stays as it was.
    alpha : float
        Exponent α of every iteration, in (0, 1000].
    iterations : int
        Number of iterations d in 1..1000.
    smoothing : float
        One-hot pseudo-rows added to the reference for each class; fractions are allowed.
    weights : array_like of shape (n,), optional
        How often each reference row counts, w >= 0; once by default.
    all_iterations : bool
        Return the result of every depth 1..d; they all come out of one pass.

    Returns
    -------
    array or tensor of shape (k, C), or (d, k, C) with `all_iterations`
        The adjusted rows; each sums to 1. Float64, or float32 if rows and reference are narrower.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If shapes disagree, entries are negative or not finite, a row has no mass, or an option
        is out of range.

    References
    ----------
    Jia et al. (2021), section 3, equations 2 to 4. arXiv:2109.13449.

    Examples
    --------
    >>> alternating_normalization([[0.5, 0.5]], [[0.0, 1.0]], [0.5, 0.5])
    array([[0.75, 0.25]])
    """
    b, a, prior, weights = check_arrays(rows, reference, prior, weights)
    alpha, iterations, smoothing = check_parameters(alpha, iterations, smoothing)
    xp = api.array_namespace(b, a)
    wide = b.dtype == xp.float64 or a.dtype == xp.float64
    dtype = xp.float64 if wide else xp.float32
    model = Reference.build(
        a,
        prior,
        alpha=alpha,
        iterations=iterations,
        smoothing=smoothing,
        weights=weights,
        dtype=dtype,
    )
    return like_given(model.adjust(xp.astype(b, dtype), all_depths=all_iterations), rows)
