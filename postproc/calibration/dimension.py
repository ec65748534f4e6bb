"""How many dimensions an embedding needs."""

from __future__ import annotations

import math

from postproc.scores.checks import check_count


def embedding_dimension(n: int) -> int:
    """Dimensions that suffice to embed n things, 8.33 ln n, by an argument of least entropy.

    Parameters
    ----------
    n : int
        Number >= 2 of words, classes or the like.

    Returns
    -------
    int
        The nearest integer, 1 or more.

    Raises
    ------
    ValueError
        If n is less than 2.

    Examples
    --------
    >>> embedding_dimension(100_000), embedding_dimension(5_000_000), embedding_dimension(1000)
    (96, 128, 58)
    """
    return round(8.33 * math.log(check_count(n, "n", low=2)))
