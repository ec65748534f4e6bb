"""Cores and BLAS threads: many small products are faster on one thread, and reproducible."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

#: Elements from which on products of matrices are worth several threads.
LARGE = 10_000_000


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def one_blas_thread() -> AbstractContextManager[Any]:
    """Limit BLAS to one thread inside a `with` block."""
    limits: AbstractContextManager[Any] = _libraries(len(sys.modules)).limit(
        limits=1, user_api="blas"
    )
    return limits


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> Any:
    """The loaded libraries, sought anew once a module was imported: seeking takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def blas_threads_for(size: int) -> AbstractContextManager[Any]:
    """Limit BLAS to one thread for arrays of fewer than LARGE elements in all."""
    return nullcontext() if size >= LARGE else one_blas_thread()
