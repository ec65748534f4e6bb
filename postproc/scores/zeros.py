"""Exact zeros of probabilities, and what they count as in logarithms.

Votes of few neighbours or trees, rounding and hard labels give probabilities of exactly 0, also to
classes that turn out true. Where something is fitted, they count as half of the least positive
probability of the fit rows, as half a vote of the k that were cast.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import array_api_compat as api

from postproc.scores.arrays import Array
from postproc.scores.codes import coded
from postproc.scores.kinds import LOG_LEAST, Kind

#: Logarithms nearer to that of the least probability are those of zeros; float32 has seven digits.
NEAR = 1e-4

#: Larger shares of zeros are worth a warning.
MANY = 0.1


@dataclass(frozen=True)
class Zeros:
    """How many probabilities are exactly 0, and the logarithm that they count as."""

    share: float = 0.0
    log: float = LOG_LEAST


def find_zeros(blocks: Iterable[Array]) -> Zeros:
    """Zeros among log-probabilities, in which they stand as `LOG_LEAST`."""
    n_zeros = n_all = 0
    least = 0.0
    for logs in blocks:
        n_all += math.prod(logs.shape)
        if not math.prod(logs.shape):
            continue
        xp = api.array_namespace(logs)
        lowest = float(xp.min(logs))
        if lowest < LOG_LEAST + NEAR:  # else one pass is enough
            is_zero = xp.abs(logs - LOG_LEAST) < NEAR
            n_zeros += int(xp.count_nonzero(is_zero))
            lowest = float(xp.min(xp.where(is_zero, 0.0, logs)))
        least = min(least, lowest)
    half = least - math.log(2.0)
    return Zeros(n_zeros / n_all, half) if n_zeros and half > LOG_LEAST else Zeros()


def are_absent(kind: Kind, true_logs: Array) -> bool:
    """Whether -inf stands for classes that rows lack, as choices of questions: none turns out true.

    It takes the log-probabilities of the true classes, (n,). Zeros of probabilities are none.
    """
    return kind == "logits" and not bool((true_logs < LOG_LEAST + NEAR).any())


def warn_of_zeros(found: Sequence[Zeros], names: Sequence[str], stacklevel: int) -> None:
    """Warn of predictions with many zeros, and say what these count as."""
    many = [
        f"{math.exp(each.log):.2g} in {name} ({each.share:.0%} of them)"
        for each, name in zip(found, names, strict=True)
        if each.share > MANY
    ]
    if many:
        msg = (
            "probabilities of exactly 0 count as half of the least positive one: "
            f"{', '.join(many[:3])}{', ...' if len(many) > 3 else ''}"
        )
        warnings.warn(coded("exact-zeros", msg), UserWarning, stacklevel=stacklevel + 1)
