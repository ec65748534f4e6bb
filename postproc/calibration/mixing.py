"""A small share of the uniform distribution: no label can cost more than log((n + 1) C)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import array_api_compat as api

from postproc.scores.arrays import Array, log_softmax
from postproc.scores.checks import check_number
from postproc.scores.kinds import LOG_LEAST


def mix_uniform(logs: Array, mix: float) -> Array:
    """Log-probabilities (n, C) of (1 - ε) p + ε/C."""
    xp = api.array_namespace(logs)
    return xp.log((1.0 - mix) * xp.exp(logs) + mix / logs.shape[1])


def mixed_logs(logits: Array, mix: float) -> Array:
    """The same for logits."""
    return mix_uniform(log_softmax(logits), mix)


@dataclass(frozen=True)
class MixedMap:
    """A fitted map whose probabilities p become (1 - ε) p + ε/C, which changes no class."""

    model: Callable[[Array], Array]
    mix: float  # ε = 1/(n + 1) after n fit rows
    log_zero: float = LOG_LEAST  # what exact zeros, and lower probabilities, count as

    def check_saved(self) -> None:
        """Refuse what is no share, and no logarithm of a probability."""
        check_number(self.mix, "mix", low=0.0, high=1.0)
        check_number(self.log_zero, "log_zero", high=0.0)

    def __call__(self, logs: Array) -> Array:
        """Calibrated log-probabilities, shape (n, C)."""
        return mix_uniform(self.model(self.raised(logs)), self.mix)

    def raised(self, logs: Array) -> Array:
        """Log-probabilities that the map was fitted to: zeros count as they did there."""
        if self.log_zero == LOG_LEAST:
            return logs
        return api.array_namespace(logs).clip(logs, self.log_zero, None)
