"""Threads of BLAS: fits are many small products, which go faster, and steadily, on one."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any


def one_blas_thread() -> AbstractContextManager[Any]:
    """Keep BLAS to one thread inside a `with` block.

    On a machine whose cores are busy, threads that wait for each other after every small product
    cost many times what they save.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="blas")
    return limits
