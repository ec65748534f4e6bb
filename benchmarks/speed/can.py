"""CAN against the row-by-row loop and against the machine's own matrix products."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.speed.timing import Figure, ratio
from postproc import alternating_normalization

Array = np.ndarray


def loop(rows: Array, reference: Array, prior: Array, alpha: float, iterations: int) -> Array:
    """The method as papers and blogs write it: one ambiguous row after the other."""
    result = np.empty_like(rows)
    for number, row in enumerate(rows):
        stacked = np.vstack([reference, row])
        for _ in range(iterations):
            stacked = stacked**alpha
            stacked = stacked / stacked.sum(axis=0)
            stacked = stacked * prior
            stacked = stacked / stacked.sum(axis=1, keepdims=True)
        result[number] = stacked[-1]
    return result


def data(n: int, k: int, n_classes: int, dtype: str) -> tuple[Array, Array, Array]:
    """Reference rows, ambiguous rows and a prior."""
    rng = np.random.default_rng(0)
    reference = rng.dirichlet(np.full(n_classes, 0.1), n) + 1e-9
    rows = rng.dirichlet(np.full(n_classes, 1.0), k)
    prior = rng.dirichlet(np.full(n_classes, 5.0))
    return rows.astype(dtype), reference.astype(dtype), prior


def figures(*, quick: bool) -> Iterator[Figure]:
    """The figures of CAN."""
    iterations, some = 5, 5 if quick else 50
    n, k, n_classes = 1000, 1000, 150
    for dtype, bound in (("float64", 1e-12), ("float32", 2e-6)):
        rows, reference, prior = data(n, some, n_classes, dtype)
        exact = loop(rows.astype(float), reference.astype(float), prior, 1.0, iterations)
        got = alternating_normalization(rows, reference, prior, iterations=iterations)
        worst = float(np.abs(got - exact).max())
        name = f"CAN: largest deviation from the loop, {dtype}"
        yield Figure(name, worst, (worst, worst), f"<= {bound}", f"{some} rows")
    for dtype in ("float64", "float32"):
        rows, reference, prior = data(n, k, n_classes, dtype)

        def run(rows: Array = rows, reference: Array = reference, prior: Array = prior) -> None:
            alternating_normalization(rows, reference, prior, iterations=iterations)

        def naive(rows: Array = rows, reference: Array = reference, prior: Array = prior) -> None:
            loop(rows[:some], reference, prior, 1.0, iterations)

        columns = np.ascontiguousarray(rows.T)

        def gemm(a: Array = reference, b: Array = columns) -> None:
            for _ in range(2 * (iterations - 1)):  # 4(d - 1)·n·C·k flops
                a @ b

        size = f"{k} rows, reference {n} x {n_classes}, d = {iterations}, {dtype}"
        yield ratio(
            f"CAN: speed over the loop, {size}",
            naive,
            run,
            ">= 100",
            scale=k / some,
            labels=(f"loop of {some} rows", "CAN"),
        )
        yield ratio(
            f"CAN: share of GEMM speed, {size}",
            gemm,
            run,
            ">= 0.5",
            rounds=5 if quick else 15,
            labels=("GEMM", "CAN"),
        )
