"""Cores, and threads of BLAS: many small products go faster, and steadily, on one."""

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
    """Keep BLAS to one thread inside a `with` block."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="blas")
    return limits
