"""Cores and BLAS threads: many small products are faster on one thread, and reproducible."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def one_blas_thread() -> AbstractContextManager[Any]:
    """Limit BLAS to one thread inside a `with` block."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="blas")
    return limits
