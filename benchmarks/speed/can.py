"""CAN against the row-by-row loop, the machine's own matrix products, and its exact self."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from benchmarks.speed.timing import Figure, ratio, seconds
from postproc import alternating_normalization
from postproc.can.bounds import Condensed
from postproc.can.reference import Reference

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


def confident(rng: np.random.Generator, n: int, shares: Array, sharpness: float) -> Array:
    """Softmax of random logits in float32, one class of each row lifted: rare classes as well."""
    rows = rng.standard_normal((n, len(shares)), dtype=np.float32)
    rows *= 1.5
    classes = rng.choice(len(shares), n, p=shares)
    rows[np.arange(n), classes] += sharpness + rng.standard_normal(n, dtype=np.float32)
    rows -= rows.max(axis=1, keepdims=True)
    np.exp(rows, out=rows)
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def zipf(n_classes: int) -> Array:
    """Shares of classes of which the r-th has 1/r of the first."""
    shares = 1 / np.arange(1, n_classes + 1)
    return np.asarray(shares / shares.sum())


def build(reference: Array, prior: Array, alpha: float, iterations: int) -> Reference:
    """The exact reference."""
    return Reference.build(
        reference,
        prior,
        alpha=alpha,
        iterations=iterations,
        smoothing=0.0,
        weights=None,
        dtype=reference.dtype,
    )


def figures(*, quick: bool) -> Iterator[Figure]:
    """The figures of CAN."""
    yield from _deviations(quick)
    sizes = [(1000, 1000, 150), (1000, 500, 300) if quick else (5000, 10_000, 1000)]
    for size, dtype in product(sizes, ("float64", "float32")):
        yield from _speeds(*size, dtype, quick)
    yield from _classes_kept(quick)
    yield from _condensed(*((10_000, 500, 100) if quick else (200_000, 10_000, 1000)))


def _deviations(quick: bool) -> Iterator[Figure]:
    iterations, some = 5, 5 if quick else 50
    for dtype, bound in (("float64", 1e-12), ("float32", 2e-6)):
        rows, reference, prior = data(1000, some, 150, dtype)
        exact = loop(rows.astype(float), reference.astype(float), prior, 1.0, iterations)
        got = alternating_normalization(rows, reference, prior, iterations=iterations)
        worst = float(np.abs(got - exact).max())
        name = f"CAN: largest deviation from the loop, {dtype}"
        yield Figure(name, worst, (worst, worst), f"<= {bound}", f"{some} rows")


def _speeds(n: int, k: int, n_classes: int, dtype: str, quick: bool) -> Iterator[Figure]:
    """Speed over the loop and as a share of GEMM's; small sizes alone are fit for the loop."""
    iterations, some = 5, 5 if quick else 50
    rows, reference, prior = data(n, k, n_classes, dtype)
    small = n * n_classes <= 150_000

    def run() -> None:
        alternating_normalization(rows, reference, prior, iterations=iterations)

    def naive() -> None:
        loop(rows[:some], reference, prior, 1.0, iterations)

    columns = np.ascontiguousarray(rows.T)

    def gemm() -> None:
        for _ in range(2 * (iterations - 1)):  # 4(d - 1)·n·C·k flops
            reference @ columns

    size = f"{k} rows, reference {n} x {n_classes}, d = {iterations}, {dtype}"
    if small:
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
        ">= 0.7" if small else ">= 0.8",
        rounds=5 if quick else 15 if small else 3,
        labels=("GEMM", "CAN"),
    )


def _classes_kept(quick: bool) -> Iterator[Figure]:
    """Rows that a condensed reference gives another class, in the worst of many settings."""
    rng = np.random.default_rng(0)
    worst, total, done_anew = 0.0, 0, 0
    for n_classes, per_class in ((5, 200), (50, 5), (50, 30), (100, 100)):
        shares = zipf(n_classes)
        reference = confident(rng, n_classes * per_class, shares, 8.0)
        rows = confident(rng, 200 if quick else 2000, shares, 3.0)
        for alpha, iterations in product((0.5, 1.0, 2.0), (2, 3, 5)):
            exact = build(reference, shares, alpha, iterations)
            condensed = Condensed.build(exact)
            other = condensed.adjust(rows).argmax(axis=1) != exact.adjust(rows).argmax(axis=1)
            worst = max(worst, float(other.mean()))
            total, done_anew = total + len(rows), done_anew + int(condensed.undecided(rows).sum())
    name = (
        "CAN, condensed: share of rows with another class than the exact one, worst of 36 settings"
    )
    detail = f"{done_anew / total:.2%} of all rows computed exactly"
    yield Figure(name, worst, (worst, worst), "<= 0.001", detail)


def _condensed(n: int, k: int, n_classes: int) -> Iterator[Figure]:
    """Speed over the exact reference, a row for itself and with the one-off set-up of k rows."""
    rng = np.random.default_rng(0)
    shares = zipf(n_classes)
    reference, rows = confident(rng, n, shares, 12.0), confident(rng, k, shares, 5.0)
    models: list[Reference] = []
    base = seconds(lambda: models.append(build(reference, shares, 1.0, 3)))
    exact = models[0]
    condensed: list[Condensed] = []
    set_up = seconds(lambda: condensed.append(Condensed.build(exact)))
    some = rows[: min(k, 256)]
    once, whole = [], []
    for _ in range(3):
        once.append(seconds(lambda: exact.adjust(some)) / len(some))
        whole.append(seconds(lambda: condensed[0].adjust(rows)) / k)
    slow, fast = float(np.median(once)), float(np.median(whole))
    recomputed = condensed[0].undecided(rows).mean()
    size = f"reference {n} x {n_classes}, d = 3, float32"
    ratios = [a / b for a, b in zip(once, whole, strict=True)]
    detail = (
        f"a row {slow:.3g} s exact, {fast:.3g} s condensed; {recomputed:.2%} of rows computed "
        "exactly"
    )
    yield Figure(
        f"CAN, condensed: speed over the exact one, {size}",
        slow / fast,
        (min(ratios), max(ratios)),
        ">= 50",
        detail,
    )
    with_set_up = (base + k * slow) / (base + set_up + k * fast)
    detail = (
        f"reference {base:.3g} s, condensing {set_up:.3g} s more; even from "
        f"{set_up / (slow - fast):.0f} rows"
    )
    name = f"CAN, condensed: the same with the set-up, {k} rows"
    yield Figure(name, with_set_up, (with_set_up, with_set_up), ">= 50", detail)
